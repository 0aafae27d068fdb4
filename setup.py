"""Builds the one wheel, ``tenure``, from ``libs/``; names, versions and extras stand in pyproject.toml."""

from setuptools import find_packages, setup

setup(
    package_dir={"": "libs"},
    packages=find_packages("libs"),
    package_data={"tenure": ["py.typed", "report/*.css"]},
)
