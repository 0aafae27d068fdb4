"""The JVM jars that the jobs need, resolved from Maven once into a folder that every session then reads.

    python -m tenure.spark.jars [FOLDER]        # by default $TENURE_JARS, or var/jars

Spark can resolve packages itself at every start, which costs seconds and pages of log each time. The folder also holds
``spark.properties``, which names the jars to ``spark-submit --properties-file`` and gives the driver more than Spark's
1 GB. Another Maven repository than Maven Central is named by ``TENURE_MAVEN_REPOSITORY``.
"""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from tenure.errors import TenureError, WrongInput

DRIVER_MEMORY = "4g"
# 4.4.0, not 4.4.1: of that one Maven has no jar. The artifact's name carries the Spark and Scala it was built for.
PACKAGES = ("io.delta:delta-spark_4.2_2.13:4.4.0",)
# Spark brings these itself, often newer: a second copy on the class path is at best waste.
BROUGHT_BY_SPARK = (
    "com.fasterxml.jackson.core:*",
    "com.fasterxml.jackson.datatype:*",
    "com.github.luben:*",
    "commons-logging:*",
    "commons-pool:*",
    "io.airlift:*",
    "javax.annotation:*",
    "org.apache.hadoop:*",
    "org.apache.logging.log4j:*",
    "org.apache.parquet:*",
    "org.roaringbitmap:*",
    "org.slf4j:*",
    "org.xerial.snappy:*",
    "com.google.code.findbugs:*",
)
PROPERTIES = "spark.properties"
_RESOLVED = "resolved.txt"
_IVY_SETTINGS = """<ivysettings>
  <settings defaultResolver="maven"/>
  <resolvers><ibiblio name="maven" m2compatible="true" root="{repository}"/></resolvers>
</ivysettings>
"""


def jars_folder() -> Path:
    """Where the jars lie: ``TENURE_JARS``, or ``var/jars`` below the current directory."""
    return Path(os.environ.get("TENURE_JARS", "var/jars")).absolute()


def jars(folder: Path) -> list[Path]:
    """The jars in ``folder``; none where they have not been resolved yet, or for other versions."""
    note = folder / _RESOLVED
    is_complete = note.is_file() and note.read_text(encoding="utf-8") == _wanted()
    return sorted(folder.glob("*.jar")) if is_complete else []


def resolve(folder: Path) -> list[Path]:
    """The jars in ``folder``, brought from Maven if they are not there yet.

    Raises:
        WrongInput: if Maven cannot be reached or Java is missing.
    """
    if found := jars(folder):
        _describe(folder)
        return found
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folder) as scratch:
        _download(Path(scratch))
        for old in folder.glob("*.jar"):
            old.unlink()
        for jar in sorted((Path(scratch) / "jars").glob("*.jar")):
            shutil.move(jar, folder / jar.name)
    _describe(folder)
    return jars(folder)


def _wanted() -> str:
    return "\n".join(PACKAGES) + "\n"


def _download(scratch: Path) -> None:
    import pyspark

    repository = os.environ.get("TENURE_MAVEN_REPOSITORY", "https://repo1.maven.org/maven2/")
    settings = scratch / "ivysettings.xml"
    settings.write_text(_IVY_SETTINGS.format(repository=repository), encoding="utf-8")
    conf = {
        "spark.jars.packages": ",".join(PACKAGES),
        "spark.jars.excludes": ",".join(BROUGHT_BY_SPARK),
        "spark.jars.ivy": str(scratch),
        "spark.jars.ivySettings": str(settings),
    }
    # spark-submit resolves packages before it starts anything; --version would skip that, an empty example does not.
    submit = Path(pyspark.__file__).parent / "bin" / "spark-submit"
    arguments = [text for key, value in conf.items() for text in ("--conf", f"{key}={value}")]
    main = ["--master", "local[1]", "--class", "org.apache.spark.examples.SparkPi", "spark-internal", "1"]
    done = subprocess.run([submit, *arguments, *main], capture_output=True, text=True, check=False)
    if not list((scratch / "jars").glob("io.delta_delta-spark*.jar")):
        reason = next((line.strip() for line in done.stderr.splitlines()[::-1] if line.strip()), "no reason given")
        raise WrongInput(
            f"could not bring {', '.join(PACKAGES)} from {repository}: check that Java 17 or newer is installed and "
            f"that this machine reaches it, or name another with TENURE_MAVEN_REPOSITORY ({reason})"
        )


def _describe(folder: Path) -> None:
    names = ",".join(str(jar.absolute()) for jar in sorted(folder.glob("*.jar")))
    settings = {"spark.jars": names, "spark.log.level": "ERROR", "spark.driver.memory": DRIVER_MEMORY}
    (folder / PROPERTIES).write_text("".join(f"{key} {value}\n" for key, value in settings.items()), encoding="utf-8")
    (folder / _RESOLVED).write_text(_wanted(), encoding="utf-8")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", nargs="?", type=Path, default=jars_folder())
    folder = parser.parse_args().folder.absolute()
    try:
        found = resolve(folder)
    except TenureError as error:
        print(error, file=sys.stderr)
        sys.exit(error.exit_code)
    size = sum(jar.stat().st_size for jar in found)
    print(f"{len(found)} jars, {size / 1e6:.0f} MB, in {folder}")


if __name__ == "__main__":
    main()
