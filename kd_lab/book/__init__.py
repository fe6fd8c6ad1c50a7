"""The course as a site to read where no kernel runs: `make book`, or `python -m kd_lab.book`.

`recording` runs a lesson and keeps what its explorers draw and how its predictions came out; `pages` turns the notebook
and that recording into a page; `reference` writes the pages of the library, of the methods and of the claims. Sphinx
makes the site of them, with the settings, the style and the player in site/.
"""
