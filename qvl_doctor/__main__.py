"""`python -m qvl_doctor`."""

from qvl_doctor.cli.main import main

main()
