"""Artifact stores. `sqlite` keeps everything in one data folder, `memory` is the verified fake of the tests."""
