import sys

from . import main, selftest

if "--selftest" in sys.argv:
    selftest.main()
else:
    main.main()
