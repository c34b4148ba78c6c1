"""A corpus of hostile input, and what it must not do to a server.

Every finding becomes an entry: plain data or a small generator, a name, and one sentence that says what it
once did. The whole corpus is sent once to real servers in `make test` (test_corpus.py), is what the fuzz run
of `make test-all` mutates (test_fuzz_run.py), and its heaviest requests go to real Django and to us side by
side (test_beside_django.py).

To add an entry
    1. Take the module of its kind and append it to the list there:
       requests.py   one HTTP connection: headers, paths, bodies (`Request`)
       multipart.py  bodies of multipart/form-data (`Request`)
       frames.py     websocket handshakes and frames (`Handshake`, `Frames`)
       payloads.py   what a stranger writes into Redis (`Payload`)
       trees.py      trees of files for the command line
    2. Give it a name that is unique in the corpus and say in `once` what it did. Generators take no arguments
       and return the same bytes at each call.
    3. If the answer has to be something more exact than "below 500", say so in `statuses`.
    4. See it fail without the mend: `scripts/test tests/hostile -k NAME`. What is not mended yet has `xfail`
       with the reason: strict, so that the mend has to take it away.

What is asserted of each entry: the server answers or hangs up; a bystander's connections live, and their
echo comes back in time (bystander.py says how that is measured on a busy machine, test_watch.py shows it);
nothing in the server's log shows an exception that left the application; after all of them the server has no
more memory than before.
"""
