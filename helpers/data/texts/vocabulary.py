"""The words that general image descriptions are made of, by property.

Written by hand for this workbook. A property has one or more groups of words, each with the
templates that make sense for them; every word goes into every template of its group.
"""

from dataclasses import dataclass


@dataclass(frozen=True)
class Group:
    """Words that stand in the same sentences."""

    # sentences with one place for a word: `{}` for the word alone, `{a}` for the word after its
    # article
    templates: tuple[str, ...]
    words: tuple[str, ...]


def _group(*templates: str, words: str) -> Group:
    """Make a group of templates and of words that commas divide."""
    return Group(templates, tuple(" ".join(word.split()) for word in words.split(",")))


VOCABULARY: dict[str, tuple[Group, ...]] = {
    "animals": (
        _group(
            "an image of {a}",
            "{a} in the wild",
            words="""zebra, lion, tiger, leopard, cheetah, elephant, giraffe, rhinoceros,
            hippopotamus, gorilla, chimpanzee, orangutan, baboon, lemur, kangaroo, koala,
            wombat, platypus, panda, polar bear, grizzly bear, wolf, fox, coyote, hyena, moose,
            reindeer, antelope, bison, camel, sloth, armadillo, anteater, hedgehog, porcupine,
            badger, otter, beaver, raccoon, skunk, squirrel, bat, crocodile, iguana, chameleon,
            tortoise, rattlesnake, frog""",
        ),
        _group(
            "a photo of {a}",
            words="""kitten, puppy, dalmatian, poodle, german shepherd, siamese cat, hamster,
            guinea pig, rabbit, horse, pony, donkey, cow, calf, goat, sheep, lamb, pig, llama""",
        ),
        _group(
            "{a} underwater",
            words="""dolphin, blue whale, shark, seal, walrus, octopus, jellyfish, seahorse,
            stingray, sea turtle, clownfish, lobster, goldfish, manatee""",
        ),
        _group(
            "a close view of {a}",
            words="""butterfly, honeybee, dragonfly, ladybird, grasshopper, spider, ant, beetle,
            caterpillar, praying mantis, snail, moth, wasp""",
        ),
    ),
    "birds": (
        _group(
            "an image of {a}",
            "{a} with its wings spread",
            words="""bald eagle, falcon, hawk, vulture, barn owl, raven, crow, magpie, sparrow,
            robin, swallow, finch, canary, parrot, macaw, cockatoo, toucan, hummingbird,
            kingfisher, woodpecker, pigeon, dove, seagull, albatross, pelican, cormorant,
            puffin, penguin, swan, goose, mallard duck, flamingo, heron, stork, sandhill crane,
            ibis, peacock, pheasant, quail, turkey, rooster, hen, ostrich, emu, nightingale,
            blackbird, starling, blue jay, cuckoo""",
        ),
    ),
    "plants": (
        _group(
            "a photo of {a}",
            "{a} in bloom",
            words="""rose, tulip, sunflower, daisy, lily, orchid, carnation, daffodil, hyacinth,
            iris, peony, poppy, marigold, dahlia, lavender bush, magnolia, cherry tree,
            hydrangea, lotus, water lily, dandelion, crocus, hibiscus, jasmine, geranium,
            violet, snowdrop""",
        ),
        _group(
            "a photo of {a}",
            "the leaves of {a}",
            words="""oak tree, maple tree, birch, beech, willow, poplar, chestnut tree, olive
            tree, palm tree, banana plant, fern, ivy, bamboo plant, eucalyptus, ginkgo, holly
            bush, tea plant, grapevine, clover, nettle, basil plant, mint plant, rubber plant""",
        ),
        _group(
            "{a} growing in nature",
            "a picture with {a}",
            words="""pine tree, cypress, redwood, spruce, juniper, baobab, mangrove, cactus,
            aloe, toadstool, mushroom, patch of moss, lichen, thistle, reed, seedling, tree
            stump, clump of seaweed""",
        ),
    ),
    "food": (
        _group(
            "a photo of {}",
            "a plate of {}",
            words="""spaghetti, lasagne, sushi, fried rice, noodles, dumplings, tacos, pancakes,
            waffles, french fries, scrambled eggs, grilled fish, roast chicken, meatballs,
            sausages, curry, paella, risotto, salad, cheese, oysters, shrimp, steak, couscous,
            falafel, baked beans, mashed potatoes, chocolate cake, biscuits, doughnuts,
            strawberries, grapes, cherries, blueberries, sliced bread, ravioli, kebab, spring
            rolls""",
        ),
        _group(
            "{a} on a table",
            words="""pizza, hamburger, hot dog, sandwich, burrito, croissant, baguette, pretzel,
            bagel, muffin, apple pie, birthday cake, pineapple, watermelon, banana, orange
            fruit, lemon, mango, avocado, tomato, cucumber, aubergine, pumpkin, carrot,
            cauliflower, head of garlic, bowl of soup, ice cream cone, chocolate bar, jar of
            honey, cup of coffee, pot of tea, glass of wine, bottle of beer, milkshake, cocktail""",
        ),
    ),
    "landscapes": (
        _group(
            "a landscape with {a}",
            "a picture of {a} seen from afar",
            words="""mountain range, snowy peak, volcano, canyon, valley, glacier, waterfall,
            river, lake, lagoon, fjord, coastline, cliff, sandy beach, coral reef, island,
            peninsula, desert, sand dune, oasis, savannah, prairie, meadow, wheat field, rice
            terrace, vineyard, orchard, rainforest, pine forest, bamboo grove, swamp, marsh,
            moor, tundra, iceberg, hot spring, geyser, cave entrance, rocky shore, rolling hill,
            salt flat, winding path, pond, stream, gorge, plateau, crater, delta, bay, natural
            arch""",
        ),
    ),
    "settings": (
        _group(
            "a photo taken in {a}",
            words="""kitchen, bedroom, bathroom, living room, dining room, attic, cellar,
            garage, classroom, lecture hall, library, laboratory, office, meeting room, hospital
            ward, operating theatre, waiting room, pharmacy, supermarket, bakery, butcher shop,
            bookshop, clothing store, shopping centre, restaurant, coffee shop, pub, nightclub,
            hotel lobby, theatre, cinema, concert hall, museum gallery, gymnasium, swimming
            hall, locker room, bowling alley, casino, factory hall, warehouse, workshop, barn,
            stable, greenhouse, prison cell, courtroom, train carriage, aeroplane cabin,
            submarine, elevator, corridor, staircase, underground station, parking garage,
            laundry room, hair salon, recording studio""",
        ),
        _group(
            "a scene at {a}",
            "people at {a}",
            words="""playground, botanical garden, zoo, amusement park, campsite, farm, market
            square, construction site, harbour, marina, airport, train station, bus stop, petrol
            station, car park, racetrack, golf course, ski resort, cemetery, rubbish dump,
            quarry, border crossing, street corner, zebra crossing, roundabout, beer garden,
            swimming pool""",
        ),
    ),
    "locations": (
        _group(
            "a picture taken in {}",
            words="""France, Italy, Spain, Portugal, Germany, Austria, Switzerland, Norway,
            Sweden, Finland, Iceland, Ireland, Scotland, Poland, Greece, Turkey, Russia,
            Ukraine, Romania, Croatia, Egypt, Morocco, Kenya, Tanzania, Ethiopia, Nigeria,
            Ghana, South Africa, Madagascar, Israel, Jordan, Iran, India, Nepal, Sri Lanka,
            Bangladesh, Thailand, Vietnam, Cambodia, Indonesia, Malaysia, the Philippines,
            China, Mongolia, Japan, South Korea, Australia, New Zealand, Canada, Mexico, Cuba,
            Jamaica, Guatemala, Colombia, Peru, Bolivia, Brazil, Argentina, Chile""",
        ),
        _group(
            "a street in {}",
            words="""Paris, London, Rome, Venice, Madrid, Barcelona, Lisbon, Berlin, Vienna,
            Prague, Budapest, Amsterdam, Copenhagen, Stockholm, Athens, Istanbul, Moscow, Cairo,
            Marrakesh, Nairobi, Cape Town, Lagos, Jerusalem, Dubai, Tehran, Mumbai, Delhi,
            Kolkata, Kathmandu, Bangkok, Hanoi, Singapore, Jakarta, Manila, Hong Kong, Shanghai,
            Beijing, Seoul, Tokyo, Kyoto, Sydney, Melbourne, Auckland, Toronto, Montreal, New
            York, Chicago, San Francisco, Los Angeles, New Orleans, Miami, Las Vegas, Havana,
            Mexico City, Bogota, Lima, Rio de Janeiro, Buenos Aires, Santiago""",
        ),
        _group(
            "a view of {}",
            words="""the Alps, the Himalayas, the Andes, the Rocky Mountains, the Sahara, the
            Amazon, the Nile, the Mediterranean Sea, the Caribbean, the Arctic, Antarctica,
            Patagonia, Siberia, Tuscany, Bavaria, Provence, Scandinavia, Hawaii, Alaska, Texas,
            California, the Outback, the Scottish Highlands, the Grand Canyon, the Great Barrier
            Reef, Yellowstone""",
        ),
    ),
    "buildings": (
        _group(
            "a photo of {a}",
            "the facade of {a}",
            words="""castle, palace, cathedral, chapel, mosque, synagogue, buddhist temple,
            pagoda, monastery, skyscraper, apartment block, town hall, villa, cottage, log
            cabin, farmhouse, mansion, hotel, hospital, school, university, museum, opera house,
            post office, bank, prison, shopping mall, railway station, factory, brewery,
            half-timbered house, terraced house, gothic church, baroque church, art deco
            building, modernist building""",
        ),
        _group(
            "a picture of {a}",
            words="""lighthouse, windmill, watermill, clock tower, bell tower, suspension
            bridge, stone bridge, aqueduct, dam, pyramid, amphitheatre, triumphal arch,
            fortress, igloo, tree house, water tower, power station, football stadium, domed
            roof, spiral staircase, stained-glass window, row of columns, courtyard, balcony,
            fountain, ruin""",
        ),
    ),
    "weather": (
        _group(
            "a picture of {}",
            "a photo taken in {}",
            words="""heavy rain, a drizzle, a thunderstorm, a hailstorm, a snowstorm, a
            blizzard, thick fog, a light mist, strong wind, bright sunshine, a heat wave, a
            sandstorm, a cold winter frost, freezing rain, a downpour, a gentle breeze, sleet,
            haze, smog, a tropical storm, a monsoon, a drought""",
        ),
        _group(
            "an image with {}",
            words="""a tornado, a hurricane, lightning, a rainbow, a cloudless sky, an overcast
            sky, storm clouds, fluffy white clouds, dark rain clouds, icicles, fresh snow,
            puddles after the rain, raindrops on a window, a flooded street, morning dew, frozen
            ground, falling snowflakes, trees bent by the wind, a halo around the sun, melting
            snow, parched cracked soil, a wall of fog""",
        ),
        _group(
            "{a} day",
            "a photo of {a} afternoon",
            words="""sunny, cloudy, rainy, windy, foggy, snowy, stormy, humid, frosty, chilly,
            misty, sweltering""",
        ),
    ),
    "time": (
        _group(
            "a scene at {}",
            "an image taken at {}",
            words="""dawn, sunrise, noon, midday, sunset, dusk, twilight, night, midnight,
            Christmas time, Easter, Halloween, harvest time, low tide, full moon, rush hour,
            lunchtime, bedtime, three o'clock, the end of the day""",
        ),
        _group(
            "a scene in {}",
            "a photo from {}",
            words="""spring, summer, autumn, winter, January, April, July, October, December,
            the early morning, the late evening, the stone age, the middle ages, the
            renaissance, the nineteenth century, the twenties, the fifties, the sixties, the
            seventies, the eighties, the nineties, the distant future, ancient Egypt, the
            Victorian era, ancient Rome, the Second World War, prehistoric times, the present
            day""",
        ),
        _group(
            "a picture of {a}",
            words="""sundial, hourglass, pocket watch, wristwatch, alarm clock, grandfather
            clock, stopwatch, digital clock, calendar, cuckoo clock, kitchen timer, station
            clock""",
        ),
    ),
    "materials": (
        _group(
            "something made of {}",
            "the surface of {}",
            words="""copper, gold, silver, bronze, brass, iron, rusty steel, stainless steel,
            aluminium, lead, tin, titanium, marble, granite, limestone, sandstone, slate,
            concrete, brick, clay, terracotta, porcelain, ceramic, glass, frosted glass,
            crystal, plastic, rubber, leather, suede, wool, cotton, linen, silk, velvet, denim,
            lace, felt, fur, canvas, burlap, wood, plywood, cork, bamboo, wicker, straw,
            cardboard, paper, papier-mache, wax, ivory, bone, amber, jade, diamond, pearl, ice,
            sand, mud, foam, nylon, carbon fibre, tar, chalk""",
        ),
    ),
    "colours": (
        _group(
            "an image in shades of {}",
            "something that is {}",
            words="""red, orange, yellow, green, blue, purple, pink, brown, black, white, grey,
            turquoise, teal, cyan, magenta, violet, indigo, maroon, burgundy, crimson, scarlet,
            coral, salmon pink, peach, apricot, beige, cream, ivory white, khaki, olive green,
            lime green, mint green, emerald green, forest green, sky blue, navy blue, royal
            blue, baby blue, lilac, lavender, mauve, fuchsia, rust brown, chestnut brown,
            chocolate brown, sand yellow, mustard yellow, lemon yellow, gold, charcoal grey""",
        ),
        _group(
            "an image with {}",
            words="""pastel colours, neon colours, earthy tones, muted colours, vivid colours, a
            monochrome palette, warm colours, cool colours, rainbow colours, faded colours, many
            bright colours, only two colours, metallic colours, a colour gradient, complementary
            colours, a pop of colour, autumn colours, washed-out colours""",
        ),
    ),
    "textures": (
        _group(
            "{a} surface",
            "an image with {a} texture",
            words="""rough, smooth, bumpy, fuzzy, furry, fluffy, hairy, scaly, spiky, prickly,
            slimy, sticky, wet, glossy, matte, shiny, polished, scratched, cracked, crumbly,
            flaky, peeling, wrinkled, crumpled, creased, pleated, ribbed, grooved, woven,
            knitted, braided, quilted, perforated, porous, spongy, gritty, sandy, powdery,
            dusty, rusty, mossy, velvety, silky, leathery, feathery, waxy, oily, foamy, bubbly,
            frosty white, lumpy, jagged, rippled, embossed, engraved, corroded, mottled, grainy
            wooden, fibrous, gelatinous""",
        ),
    ),
    "patterns": (
        _group(
            "an image of {} pattern",
            "fabric with {} pattern",
            words="""a striped, a checkered, a polka dot, a plaid, a tartan, a paisley, a
            floral, a houndstooth, a herringbone, a chevron, a zigzag, a honeycomb, a brick, a
            mosaic, a tiled, a damask, a camouflage, a leopard print, a zebra print, a tie-dye,
            a batik, an argyle, a gingham, a lattice, a grid, a hexagonal, a spiral, a
            concentric, a radial, a fractal, a kaleidoscopic, a symmetrical, an irregular, a
            repeating geometric, a wavy, a swirling, a marbled, a speckled, a starry, an
            arabesque, a celtic knot, a patchwork, a basket weave, a crosshatched, a pinstriped,
            a diamond, a scalloped, a tessellated, a labyrinthine, a botanical""",
        ),
    ),
    "shapes": (
        _group(
            "the shape of {a}",
            "an object shaped like {a}",
            words="""circle, oval, square, rectangle, triangle, pentagon, hexagon, octagon,
            rhombus, trapezoid, parallelogram, semicircle, crescent, five-pointed star, heart,
            cross, arrow, ring, spiral, helix, cube, cuboid, sphere, hemisphere, cylinder, cone,
            tetrahedron, torus, dome, arch, teardrop, wave, zigzag line, straight line, curve,
            right angle, loop, knot, funnel, wedge, disc, tube, letter T, question mark, crown,
            shell, leaf, horseshoe, keyhole, cloud""",
        ),
        _group(
            "something {}",
            words="""round, rectangular, triangular, oval-shaped, long and thin, short and wide,
            pointed, hollow, curved, twisted, flat, bent, asymmetrical, angular, star-shaped,
            heart-shaped, tapered, egg-shaped""",
        ),
    ),
    "counts": (
        _group(
            "a picture of one {}",
            "a photo of a single {}",
            words="boat, chair, apple, balloon, candle, cup, key, tree, shoe, window",
        ),
        _group(
            "an image of two {}",
            "a picture of three {}",
            "a photo of four {}",
            "an image of five {}",
            "a picture of a dozen {}",
            "a photo of hundreds of {}",
            words="boats, chairs, apples, balloons, candles, cups, keys, trees, shoes, windows",
        ),
        _group(
            "an image that shows {}",
            words="""six eggs, seven dwarfs, eight legs, nine pins, ten fingers, eleven players,
            twenty coins, fifty flags, a hundred people, a pair of socks, a pair of twins, a
            trio, a quartet, a single object, nothing at all, an empty space, a few things,
            several things, many things, countless stars, a stack of books, a pile of leaves, a
            row of houses, a bunch of bananas, a flock of sheep, a herd of cattle, a swarm of
            bees, a school of fish, a crowd, a bundle of sticks, a handful of nuts, half an
            orange, a set of tools, a collection of stamps""",
        ),
    ),
    "sizes": (
        _group(
            "something {}",
            "an object that is {}",
            words="""tiny, small, medium-sized, large, huge, gigantic, miniature, life-sized,
            tall, very long, narrow, wide, thick, thin, deep, shallow, microscopic, towering,
            minute, enormous, oversized, slender, bulky, compact, palm-sized, colossal, as big
            as a house, as small as a grain of sand, bigger than the rest, smaller than the rest""",
        ),
    ),
    "positions": (
        _group(
            "an object {}",
            "a picture with the subject {}",
            words="""at the top, at the bottom, on the left, on the right, in the centre, in the
            top left corner, in the top right corner, in the bottom left corner, in the bottom
            right corner, in the foreground, in the background, near the edge, cut off by the
            frame, behind a fence, in front of a wall, between two others, on top of another,
            under a table, next to a window, facing left, facing right, upside down, tilted to
            one side, far away, very close, inside a box, hanging in the air, leaning on a wall,
            lying on the floor, floating on water, surrounded by others, seen through a window""",
        ),
    ),
    "photography": (
        _group(
            "a photo taken with {}",
            words="""a wide-angle lens, a telephoto lens, a fisheye lens, a macro lens, a
            tilt-shift lens, an instant camera, a pinhole camera, a drone, a film camera, a
            smartphone, infrared film, a long exposure, a fast shutter speed, a shallow depth of
            field, a large aperture, double exposure, a microscope, a telescope, a thermal
            camera, an underwater camera, a security camera, a flash, a panning camera, a colour
            filter""",
        ),
        _group(
            "{a}",
            words="""black and white photograph, sepia photograph, studio portrait, passport
            photo, group portrait, selfie, wedding photograph, street photograph, landscape
            photograph, aerial photograph, satellite image, x-ray image, night photograph,
            panorama, time-lapse image, candid photograph, fashion photograph, product
            photograph, food photograph, sports photograph, wildlife photograph, press
            photograph, stock photograph, travel photograph, architectural photograph, macro
            photograph, long-exposure photograph, vintage photograph, daguerreotype, polaroid,
            film still, screenshot, photo collage, photo negative, photobooth strip,
            stereoscopic photograph, documentary photograph, underwater photograph, astronomical
            photograph, still life photograph, soft-focus photograph, high-contrast photograph,
            high-key photograph, low-key photograph""",
        ),
    ),
    "lighting": (
        _group(
            "a scene lit by {}",
            "a face lit by {}",
            words="""candles, a campfire, street lamps, neon signs, moonlight, the low evening
            sun, harsh midday sun, a single spotlight, a desk lamp, fluorescent tubes, fairy
            lights, car headlights, fireworks, a lantern, a chandelier, a fireplace, a torch,
            stage lights, laser beams, a television screen, the glow of a phone, stained glass,
            the northern lights, starlight, a lightning flash, the last light of dusk, the first
            light of dawn, ultraviolet lamps, a paper lantern, daylight through a window, a
            skylight, a projector""",
        ),
        _group(
            "a picture with {}",
            words="""dramatic shadows, soft diffused light, strong backlight, a dark silhouette,
            a lens flare, rim light, dappled light under trees, rays of light in the dust, a
            long shadow, hardly any light, glowing edges, reflected light, side lighting, light
            from below, a bright halo, flat lighting, deep shadows, warm light, cold light,
            glare on glass, sparkling highlights, strong light and dark, light trails, coloured
            light""",
        ),
    ),
    "composition": (
        _group(
            "an image with {}",
            words="""a symmetrical layout, leading lines, a vanishing point, a lot of empty
            space, the rule of thirds, a frame within a frame, a low horizon, a high horizon, a
            tilted horizon, a cluttered background, a blurred background, a plain white
            background, a mirror reflection, a reflection in water, repeated elements, diagonal
            lines, vertical lines, horizontal layers, strong foreground interest, overlapping
            figures, a centred subject, an off-centre subject, a dense crowd of details, a
            minimalist arrangement, a black border, a split screen, a grid of small pictures,
            converging lines, a circular frame, a natural frame of branches""",
        ),
        _group(
            "a photo from {}",
            "a scene seen from {}",
            words="""above, below, behind, the side, the front, a great distance, a very low
            angle, a high angle, ground level, eye level, a bird's-eye view, a worm's-eye view,
            the air, the inside, outer space, over the shoulder, a moving car, the top of a
            mountain, underwater, a first person view, across the room, around a corner, between
            the trees, a doorway""",
        ),
    ),
    "quality": (
        _group(
            "{a} image",
            "a photo that looks {}",
            words="""blurry, sharp, grainy, noisy, pixelated, overexposed, underexposed,
            low-resolution, high-resolution, out of focus, shaky, hazy, scratched and old,
            water-damaged, torn, faded, yellowed, overcompressed, distorted, stretched, cropped,
            badly lit, washed out, oversaturated, desaturated, amateurish, professional, heavily
            edited, retouched, photocopied, scanned, watermarked, glitchy, interlaced, smeared,
            dim, crystal clear, flickering, computer-generated, double-exposed, stained,
            hand-tinted, upscaled, censored, low-contrast, motion-blurred, colour-shifted""",
        ),
    ),
    "art": (
        _group(
            "{a}",
            words="""oil painting, watercolour, gouache, fresco, charcoal drawing, pencil
            sketch, ink drawing, pastel drawing, woodcut, linocut, etching, lithograph, screen
            print, mural, mosaic picture, tapestry, marble sculpture, bronze statue, wood
            carving, clay figurine, paper cut-out, collage, origami figure, embroidery, stencil,
            graffiti, comic strip, cartoon, caricature, manga page, storyboard, engraving, icon
            painting, illuminated manuscript, calligraphy scroll, glass painting, sand
            sculpture, ice sculpture, installation, children's drawing, digital painting, 3D
            rendering, pixel art image, vector graphic, poster, cave painting, doodle,
            self-portrait, still life, nude study, miniature painting""",
        ),
        _group(
            "a painting in the style of {}",
            words="""impressionism, expressionism, cubism, surrealism, realism, romanticism,
            baroque art, rococo, renaissance art, gothic art, art nouveau, art deco, pop art, op
            art, minimalism, abstract art, dadaism, futurism, pointillism, fauvism, symbolism,
            constructivism, folk art, naive art, street art, psychedelic art, Japanese woodblock
            prints, Chinese ink painting, Persian miniatures, aboriginal dot painting, Byzantine
            icons, medieval manuscripts, steampunk, cyberpunk, fantasy illustration, vaporwave""",
        ),
    ),
    "emotions": (
        _group(
            "an image that expresses {}",
            "a face full of {}",
            words="""joy, happiness, sadness, grief, anger, rage, fear, terror, disgust,
            surprise, astonishment, love, tenderness, affection, jealousy, envy, pride, shame,
            guilt, embarrassment, boredom, loneliness, longing, nostalgia, hope, despair,
            anxiety, calm, serenity, relief, gratitude, compassion, contempt, curiosity,
            confusion, excitement, awe, determination, confidence, disappointment, frustration,
            amusement, melancholy, trust, suspicion, exhaustion, pain, bliss, mischief, shyness""",
        ),
        _group(
            "an image with {a} mood",
            words="""cheerful, gloomy, romantic, peaceful, tense, playful, solemn, mysterious,
            dreamy, festive, nervous, passionate, hostile, tired, thoughtful""",
        ),
    ),
    "people": (
        _group(
            "a portrait of {a}",
            "a picture of {a}",
            words="""man, woman, boy, girl, baby, toddler, teenager, young adult, middle-aged
            man, elderly woman, grandfather, grandmother, pregnant woman, bride, groom, king,
            queen, prince, princess, pharaoh, emperor, tourist, stranger, bearded man, bald man,
            red-haired woman, blond child, curly-haired girl, man with glasses, woman with
            freckles, person in a wheelchair, hiker, nun, pilgrim, refugee, celebrity,
            schoolchild, knight, pirate, viking, samurai, cowboy""",
        ),
        _group(
            "a picture that shows {a}",
            words="""mother and her child, father and his son, married couple, group of friends,
            large family, pair of twin sisters, newborn and its parents, audience, choir, team
            of colleagues, grandmother with her grandchildren, crowd of pedestrians, group of
            tourists, class of pupils, line of commuters, gang of teenagers, pair of lovers,
            meeting of neighbours""",
        ),
    ),
    "occupations": (
        _group(
            "a photo of {a}",
            words="""doctor, nurse, surgeon, dentist, vet, pharmacist, paramedic, firefighter,
            police officer, soldier, judge, lawyer, politician, teacher, professor, scientist,
            chemist, astronaut, pilot, flight attendant, sailor, fisherman, farmer, gardener,
            shepherd, beekeeper, lumberjack, miner, carpenter, blacksmith, plumber, electrician,
            bricklayer, roofer, welder, mechanic, engineer, architect, programmer, accountant,
            secretary, cashier, waiter, chef, baker, butcher, barista, bartender, hairdresser,
            tailor, shoemaker, jeweller, potter, painter, sculptor, photographer, journalist,
            librarian, actor, magician, clown, acrobat, ballet dancer, conductor, street
            musician, postman, taxi driver, bus driver, cleaner, referee, lifeguard,
            archaeologist, priest, monk, watchmaker, glassblower""",
        ),
    ),
    "body parts": (
        _group(
            "a close-up of {}",
            words="""the eyes, the nose, the mouth, the lips, the teeth, the tongue, the ears,
            the chin, the cheeks, the forehead, the eyebrows, the eyelashes, the hair, the
            beard, the neck, the throat, the shoulders, the arms, the elbows, the wrists, the
            hands, the fingers, the thumbs, the fingernails, the chest, the back, the belly, the
            waist, the hips, the legs, the thighs, the knees, the ankles, the feet, the heels,
            the toes, the skin, the skull, the spine, the ribs, the heart, the brain, the lungs,
            the veins, the muscles, the skeleton, the palms, the moustache, the navel, the
            freckles""",
        ),
        _group(
            "a picture with {}",
            words="""clenched fists, crossed arms, a pointing finger, a thumbs up, clasped
            hands, bare feet, a braided ponytail, a bald head, a wide-open mouth, closed eyes, a
            paw, a hoof, a tail, an elephant's trunk, antlers, horns, feathers, claws, a beak, a
            fin""",
        ),
    ),
    "clothing": (
        _group(
            "a person wearing {a}",
            "a photo of {a} on a hanger",
            words="""shirt, blouse, T-shirt, jumper, hooded sweatshirt, cardigan, waistcoat,
            jacket, leather jacket, raincoat, trench coat, fur coat, down parka, blazer, dinner
            suit, uniform, summer dress, evening gown, wedding dress, skirt, kilt, kimono, sari,
            poncho, cloak, bathrobe, apron, swimsuit, tracksuit, football shirt, pair of jeans,
            pair of shorts, pair of dungarees, scarf, tie, shawl""",
        ),
        _group(
            "a person with {a}",
            words="""baseball cap, straw hat, top hat, beret, woolly hat, turban, headscarf,
            helmet, veil, bow tie, belt, pair of gloves, pair of sunglasses, pair of trainers,
            pair of boots, pair of sandals, pair of high heels, pair of slippers, handbag,
            backpack, umbrella, necklace, bracelet, pair of earrings, wedding ring, brooch,
            tiara, mask""",
        ),
    ),
    "vehicles": (
        _group(
            "a photo of {a}",
            "{a} moving fast",
            words="""sports car, vintage car, police car, taxi, ambulance, fire engine, pickup
            truck, lorry, van, school bus, double-decker bus, minibus, tram, steam train,
            high-speed train, freight train, metro train, motorcycle, scooter, bicycle,
            tricycle, skateboard, rickshaw, horse carriage, sleigh, snowmobile, go-kart, racing
            car, tank, jeep, aeroplane, biplane, fighter jet, helicopter, hot-air balloon,
            glider, space rocket, sailing boat, speedboat, ferry, cruise ship, canoe, kayak,
            gondola, hovercraft, jet ski, rowing boat""",
        ),
        _group(
            "a picture of {a}",
            words="""tractor, bulldozer, excavator, combine harvester, forklift, crane truck,
            cement mixer, rubbish truck, caravan, camper van, limousine, hearse, container ship,
            oil tanker, aircraft carrier, fishing boat, cable car, wheelbarrow, shopping
            trolley, pram""",
        ),
    ),
    "objects": (
        _group(
            "an image of {a}",
            words="""hammer, screwdriver, saw, pair of pliers, spanner, power drill, axe,
            chisel, tape measure, paintbrush, shovel, rake, pitchfork, watering can, pocket
            knife, pair of scissors, needle and thread, pencil, fountain pen, ruler, eraser,
            stapler, paper clip, magnifying glass, compass, torch, candle, matchbox, lighter,
            key, padlock, coin, banknote, credit card, wallet, comb, hairbrush, toothbrush,
            razor, bar of soap, sponge, broom, mop, bucket, frying pan, kettle, teapot, coffee
            mug, wine glass, plate, bowl, fork, knife, spoon, chopstick, corkscrew, whisk,
            rolling pin, cutting board, glass jar, wicker basket, cardboard box, suitcase, rope,
            chain, nail, screw, ladder, book, newspaper, map, globe, doll, teddy bear, balloon,
            kite, pair of dice, chess piece, playing card, jigsaw piece, yo-yo, trophy, medal,
            flag""",
        ),
    ),
    "furniture": (
        _group(
            "a photo of {a}",
            "a room with {a}",
            words="""sofa, armchair, rocking chair, office chair, bar stool, bench, dining
            table, coffee table, desk, bookcase, wardrobe, chest of drawers, sideboard, bedside
            table, double bed, bunk bed, cradle, hammock, mattress, pillow, carpet, rug,
            curtain, roller blind, floor lamp, ceiling lamp, mirror, picture frame, vase,
            mantelpiece, radiator, bathtub, washbasin, toilet, shower cabin, refrigerator, oven,
            dishwasher, washing machine, coat rack""",
        ),
    ),
    "music": (
        _group(
            "an image of {a}",
            "a musician playing {a}",
            words="""grand piano, acoustic guitar, electric guitar, bass guitar, violin, cello,
            double bass, viola, harp, lute, mandolin, banjo, ukulele, sitar, zither, flute,
            piccolo, recorder, clarinet, oboe, bassoon, saxophone, trumpet, trombone, tuba,
            french horn, harmonica, accordion, bagpipe, pan flute, didgeridoo, church organ,
            harpsichord, synthesizer, drum kit, snare drum, kettledrum, bongo, tambourine,
            triangle, xylophone, marimba, cymbal, gong""",
        ),
        _group(
            "a picture of {}",
            words="""a rock concert, a string quartet, a jazz band, a marching band, an opera
            singer, a rapper with a microphone, a record player, sheet music, a vinyl record, a
            jukebox, a music box, a cassette, a symphony orchestra, a gospel choir""",
        ),
    ),
    "activities": (
        _group(
            "a person {}",
            words="""playing football, playing basketball, playing tennis, playing volleyball,
            playing baseball, playing cricket, playing golf, playing rugby, playing ice hockey,
            playing table tennis, playing chess, playing cards, playing video games, swimming,
            diving, surfing, sailing, rowing, fishing, skiing, snowboarding, ice skating,
            cycling, running a marathon, jumping over a hurdle, climbing a rock, hiking, riding
            a horse, boxing, wrestling, fencing, practising karate, lifting weights, doing yoga,
            doing gymnastics, dancing, singing, painting a picture, reading a book, writing a
            letter, cooking, baking, eating, drinking, sleeping, shopping, washing clothes,
            ironing, sweeping the floor, gardening, harvesting, milking a cow, chopping wood,
            building a house, knitting, sewing, taking a photograph, talking on the phone,
            shaking hands, hugging, kissing, laughing, crying, arguing, waving, clapping,
            praying, meditating, walking a dog, feeding birds, flying a kite, throwing a ball,
            pushing a trolley, carrying a box, waiting in line, sunbathing, camping, skydiving,
            hunting, blowing out candles""",
        ),
    ),
    "events": (
        _group(
            "a picture of {a}",
            "people at {a}",
            words="""wedding, funeral, birthday party, christening, graduation ceremony,
            carnival, street parade, music festival, Christmas market, firework display,
            religious procession, protest march, political rally, election, coronation, military
            parade, press conference, award ceremony, film premiere, fashion show, trade fair,
            auction, art exhibition, book reading, theatre performance, circus show, puppet
            show, football match, boxing match, horse race, car race, marathon, opening
            ceremony, tea ceremony, banquet, barbecue, picnic, costume party, family reunion,
            baby shower, bullfight, lantern festival""",
        ),
        _group(
            "an image of {}",
            words="""a car accident, a house on fire, an earthquake, a flood, a volcanic
            eruption, an avalanche, a shipwreck, a train crash, an explosion, a battle, a solar
            eclipse, a meteor shower, a rocket launch, a rescue operation, a traffic jam, a
            power cut, a landslide, a forest fire""",
        ),
    ),
    "technology": (
        _group(
            "an image of {a}",
            words="""laptop, desktop computer, tablet computer, computer keyboard, computer
            mouse, printer, scanner, smartphone, rotary telephone, telephone box, television
            set, transistor radio, loudspeaker, pair of headphones, microphone, video camera,
            film projector, typewriter, calculator, cash machine, vending machine, industrial
            robot, humanoid robot, drone, virtual reality headset, games console, remote
            control, satellite dish, radar antenna, space station, satellite, telescope,
            microscope, particle accelerator, circuit board, microchip, server rack, hard drive,
            battery, light bulb, solar panel, wind turbine, nuclear reactor, steam engine, jet
            engine, gearbox, sewing machine, vacuum cleaner, microwave oven, toaster, coffee
            machine, electric fan, thermometer, stethoscope, syringe, CT scanner, barcode
            scanner, traffic light, surveillance camera, 3D printer, conveyor belt, robotic arm""",
        ),
    ),
    "writing": (
        _group(
            "an image of the letter {}",
            "a word that starts with the letter {}",
            words="A, B, C, D, E, F, G, H, I, J, K, L, M, N, O, P, Q, R, S, T, U, V, W, X, Y, Z",
        ),
        _group(
            "an image with {} on it",
            words="""handwriting, printed text, graffiti letters, a company logo, a brand name,
            a road sign, a price tag, a barcode, a signature, a caption, a speech bubble, a
            mathematical formula, a table of numbers, a bar chart, a crossword, a menu, a
            newspaper headline, a book title, a neon word, a licence plate, a street name, a
            warning, a tattoo of a word, a date, a stamp, a watermark, Chinese characters,
            Arabic script, Cyrillic letters, Greek letters, Hebrew letters, hieroglyphs,
            Japanese writing, runes, cuneiform, braille, musical notes, a love letter, a
            shopping list, a chalkboard text, the number seven, the word love, the word stop, an
            exclamation mark, a percent sign, a web address""",
        ),
    ),
}
"""Property → its groups of words."""
