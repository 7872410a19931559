"""The suite `consumers`: what programs do with `io.BytesIO`, each through the library that does it.

The other modules beside this folder measure the buffer by itself; here it is where it is met, inside the work around
it. How much of that work is the buffer differs: of a copy from one into another, all; of a decompression, next to
nothing, and there the benchmarks are to show that nothing has become slower.

============= =======================================================================================
`archives`    zip and tar files, written and read in memory
`compression` gzip, bz2 and lzma over a buffer
`streams`     copying, text and csv over a buffer, sound files, pickles
`messages`    mail, multipart bodies, XML
`network`     responses of `http.client`, requests to a WSGI application, handlers of `socketserver`
`packages`    Jinja2, Pillow, lxml and requests, where they are installed
============= =======================================================================================

The rules of the suite beside it hold here too. What needs a module that the interpreter lacks skips itself, and says
which. A call returns what does not depend on a library's version: another zlib compresses to another length.
"""
