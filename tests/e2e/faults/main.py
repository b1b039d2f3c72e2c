"""Failures on a real Kubernetes: what is told of them, how soon, and that what is mended goes on.

Objects with one fault each; objects that cannot be read; two ranks that start together and lose each other; rollout servers
that are lost beside their trainer; a Job that a queue starts and takes back; reports of a million samples. See the modules
beside this one.
"""

import argparse
import os
import pathlib
import sys

HERE = pathlib.Path(__file__).parent
sys.path[:0] = [str(HERE), str(HERE.parent)]
import objects  # noqa: E402
from cluster import sh  # noqa: E402
from gang import Gang  # noqa: E402
from kueue import Kueue  # noqa: E402
from malformed import Malformed  # noqa: E402
from rollouts import Rollouts  # noqa: E402
from size import Size  # noqa: E402
from stage import ENDED, Stage  # noqa: E402
from told import FULL, TEAM, Told  # noqa: E402
from watch import Watch  # noqa: E402

PROGRAMS = ("agoge", "agoge-worker", "agoge-sandbox")
PARTS = {"told": Told, "malformed": Malformed, "kueue": Kueue, "size": Size, "gang": Gang, "rollouts": Rollouts}


class Faults(Stage):
    def __init__(self, parts):
        super().__init__("out/e2e-faults", TEAM, FULL)
        self.parts = parts
        self.watch = None

    def images(self):
        """Builds them where they are older than their programs."""
        archives = [pathlib.Path(f"out/images/{name}.tar") for name in ("operator", "worker")]
        newest = max(os.stat(f"target/release/{program}").st_mtime for program in PROGRAMS)
        if not all(archive.exists() and archive.stat().st_mtime > newest for archive in archives):
            super().images()

    def broken(self):
        """An image whose program is none of this machine's."""
        program, archive = self.out / "broken", self.out / "broken.tar"
        program.write_text("no program\n")
        program.chmod(0o755)
        sh("hack/cluster/image", "localhost/broken:dev", str(archive), str(program))
        self.load(str(archive))

    def prepare(self):
        self.fresh()
        self.images()
        self.up()
        self.broken()

    def install(self):
        self.s3(True)
        self.charts()
        self.watch = Watch(self.cluster.out)
        self.domain = objects.desk(self.out / "desk")
        for namespace in self.namespaces:
            self.inside(namespace).apply(objects.packed(self.domain), self.s3_secret())

    def sound(self):
        """What most of the others are made beside: a sound job and its suite."""
        self.inside(TEAM).apply(objects.synthesis("desk", 240), objects.suite("desk", "desk"))
        for kind in ("synthesisjob", "checkersuite"):
            _, thing = self.watch.phase(kind, TEAM, "desk", ENDED)
            self.check(f"a sound {kind} becomes Complete", thing["status"]["phase"] == "Complete", thing["status"])

    def all(self):
        self.step("images and cluster", self.prepare)
        self.step("charts", self.install)
        self.step("sound objects", self.sound)
        for name in self.parts:
            PARTS[name](self).all()

    def end(self):
        if self.watch:
            self.watch.end()
        super().end()


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("parts", nargs="*", metavar="PART", help=f"only these of {', '.join(PARTS)}")
    parser.add_argument("--keep", action="store_true", help="leave the cluster up")
    asked = parser.parse_args()
    unknown = set(asked.parts) - set(PARTS)
    if unknown:
        parser.error(f"there is no part {', '.join(sorted(unknown))}; there are {', '.join(PARTS)}")
    Faults(asked.parts or list(PARTS)).conduct(asked.keep)


if __name__ == "__main__":
    main()
