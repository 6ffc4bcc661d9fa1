"""The tests of skew_ext, by kind; see README.md beside this file."""
