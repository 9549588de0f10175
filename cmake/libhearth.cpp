// libhearth is made of the floors' archives; a shared library needs a source of its own.
