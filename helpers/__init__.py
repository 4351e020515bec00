"""The modules behind the notebooks: pixels, model, arrays, analysis, figures."""
