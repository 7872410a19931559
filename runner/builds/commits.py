"""A commit by its name: in a repository on this machine, or in one elsewhere, of which a copy is kept in the cache."""

from __future__ import annotations

import hashlib
import os
import re
import shlex
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from runner import paths
from runner.builds import cache, git
from runner.builds.cache import Progress
from runner.errors import BuildError, UsageError

FULL = re.compile(r"[0-9a-f]{40}|[0-9a-f]{64}")
_SHORT = re.compile(r"[0-9a-f]{4,63}")
_RELATIVE = re.compile(r"[~^]|@\{|^@$")
"""What stands behind a name and leads to another commit: only a whole repository knows that one."""
SLOW = ("-c", "http.lowSpeedLimit=1000", "-c", "http.lowSpeedTime=20")
_STRICT = (*SLOW, "-c", "http.followRedirects=false")


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """A commit that is there."""

    repository: Path
    commit: str
    tree: str
    """git's hash of its content."""
    branch: str = ""
    """The branch that was named; empty where a commit was named otherwise."""


def find(text: str, place: str, ref: str, progress: Progress, *, led: bool = True) -> Found:
    """The commit that `ref` means in the repository `place`, a folder or a URL; `text` is what the user typed. `led`:
    whether a server may lead to another address.

    Raises UsageError for what is not there, means two things or cannot be taken whole, BuildError where a server
    cannot be asked.
    """
    if shutil.which("git") is None:
        raise UsageError(f"{text} needs git, which is not installed; a tarball does without: tar:FILE")
    if ref.startswith("-"):
        raise UsageError(f"{text}: {ref!r} is not a branch, tag or commit")
    path = paths.expanded(place)
    if os.path.isdir(path):
        found = _local(text, path.resolve(), ref)
    elif os.path.exists(path):
        raise UsageError(f"{text}: {path} is a file; a git build needs the folder or the URL of a repository")
    elif "://" not in place and not re.match(r"[^/]+:", place):
        raise UsageError(f"{text}: {path} {paths.why_not(path)}, and it is not a URL either")
    else:
        found = _remote(text, place, ref, progress, SLOW if led else _STRICT)
    _check_submodules(text, found)
    return found


def _local(text: str, repository: Path, ref: str) -> Found:
    asked = git.run(repository, "rev-parse", "--is-shallow-repository", "--show-prefix")
    if asked.code:
        raise UsageError(f"{text}: {git.reason(repository, asked)}")
    shallow, _, prefix = asked.output.partition("\n")
    if prefix.strip("\n"):
        top = git.run(repository, "rev-parse", "--show-toplevel").output.strip("\n")
        raise UsageError(f"{text}: {repository} is a folder inside the git repository {top}, not a repository itself")
    _check_ambiguity(text, repository, ref)
    found = git.run(repository, "rev-parse", "--verify", f"{ref}^{{commit}}")
    if found.code:
        raise UsageError(f"{text}: cannot find {ref} in {repository}: "
                         + _missing(repository, ref, git.reason(repository, found), shallow == "true"))
    return replace(_whole(repository, found.output.strip()), branch=_branch(repository, ref))


def _branch(repository: Path, ref: str) -> str:
    name = ref.removeprefix("refs/heads/")
    there = git.run(repository, "show-ref", "--verify", "--quiet", f"refs/heads/{name}")
    return "" if there.code else name


def _whole(repository: Path, commit: str) -> Found:
    tree = git.run(repository, "rev-parse", "--verify", f"{commit}^{{tree}}")
    if tree.code:
        raise BuildError(f"{repository} lacks the content of commit {commit}: {git.reason(repository, tree)}")
    return Found(repository=repository, commit=commit, tree=tree.output.strip())


def _missing(repository: Path, ref: str, said: str, shallow: bool) -> str:
    """Why a name means nothing in a repository, and what helps."""
    if not git.run(repository, "rev-list", "--max-count=1", "--all").output.strip():
        return "the repository has no commit yet"
    if "Needed a single revision" not in said:
        return said
    if shallow:
        return (f"it is a shallow clone, which has the newest commits only: "
                f"git -C {shlex.quote(str(repository))} fetch --unshallow")
    pattern = f"refs/remotes/*/{ref}"
    there = git.run(repository, "for-each-ref", "--format=%(refname:lstrip=2)", pattern).output.split()
    if there:
        return f"there is no such branch here, but {' and '.join(there)}"
    return "git knows no such branch, tag or commit"


def _check_ambiguity(text: str, repository: Path, ref: str) -> None:
    """Refuse a name that git takes for one of several: which one is not obvious to everybody."""
    name = _RELATIVE.split(ref)[0]
    patterns = [f"refs/tags/{name}", f"refs/heads/{name}", f"refs/remotes/{name}"]
    if not name or name.startswith("refs/"):
        return
    listed = git.run(repository, "for-each-ref", "--format=%(refname) %(objectname) %(*objectname)", *patterns)
    meant = {words[0]: words[-1] for line in listed.output.splitlines() if (words := line.split())[0] in patterns}
    _refuse_several(text, name, meant)


def _refuse_several(text: str, name: str, meant: Mapping[str, str]) -> None:
    """`meant` has the commit of each full name that `name` may stand for."""
    if len(set(meant.values())) > 1:
        spelled = " or ".join(text.replace(f"@{name}", f"@{full}", 1) for full in meant)
        raise UsageError(f"{text}: {name} names several commits; write {spelled}")


def _check_submodules(text: str, found: Found) -> None:
    listed = git.run(found.repository, "ls-tree", "-r", "-z", "--full-tree", found.tree)
    names = [line.partition("\t")[2] for line in listed.output.split("\0") if line.startswith("160000 ")]
    if names:
        raise UsageError(
            f"{text}: its submodules ({', '.join(names)}) are not in that commit. Check it out with them (git clone "
            "--recurse-submodules), and name the folder: dir:FOLDER"
        )


def copy_of(url: str) -> Path:
    """Where the whole copy of a repository elsewhere is kept, if there is one (`history.fetch`)."""
    return cache.folder("git") / f"{_digest(url)}-whole"


def _digest(url: str) -> str:
    return hashlib.sha256(url.encode()).hexdigest()[:16]


def _remote(text: str, url: str, ref: str, progress: Progress, reaching: Sequence[str]) -> Found:
    if _RELATIVE.search(ref):
        raise UsageError(f"{text}: {ref} counts from a commit, which needs the whole repository. Clone {url}, and name "
                         "the clone; or write a branch, a tag or a full hash")
    # A full hash always means the same, wherever it was fetched before; a branch or tag may have moved since.
    whole = copy_of(url)
    if FULL.fullmatch(ref) and whole.is_dir() and not git.run(whole, "cat-file", "-e", f"{ref}^{{commit}}").code:
        return _whole(whole, ref)
    name = _digest(url)
    mirror = cache.folder("git") / name
    branch = ""
    with cache.locked(f"git-{name}", progress, f"waiting for another run that is fetching {url}"):
        make(mirror)
        kept = _kept(ref)
        if not FULL.fullmatch(ref) or git.run(mirror, "cat-file", "-e", kept).code:
            progress(f"fetching {ref} from {url}")
            wanted, branch = (ref, "") if FULL.fullmatch(ref) else _there(text, url, ref, mirror, reaching)
            result = git.run(
                mirror, *reaching, "fetch", "--quiet", "--depth=1", "--no-tags", "--", url, f"+{wanted}:{kept}",
            )
            if result.code:
                raise BuildError(f"cannot fetch {ref} from {url}: {git.reason(mirror, result)}")
        found = git.run(mirror, "rev-parse", "--verify", f"{kept}^{{commit}}")
        if found.code:
            raise UsageError(f"{text}: {ref} is no commit: {git.reason(mirror, found)}")
        return replace(_whole(mirror, found.output.strip()), branch=branch)


def _kept(ref: str) -> str:
    # By a hash: of the names a and a/b, git keeps one only.
    return f"refs/lockstep/{hashlib.sha256(ref.encode()).hexdigest()[:16]}"


def lend(found: Found, url: str, top: Path) -> None:
    """Put a commit that was found at a URL into another cache, whose folder is `top`: there ``git:URL@COMMIT`` needs no
    network, and has the whole hash for a name. Raises BuildError."""
    mirror = top / "git" / _digest(url)
    mirror.parent.mkdir(parents=True, exist_ok=True)
    make(mirror)
    result = git.run(mirror, "-c", "protocol.version=2", "fetch", "--quiet", "--depth=1", "--no-tags", "--",
                     str(found.repository), f"+{found.commit}:{_kept(found.commit)}")
    if result.code:
        raise BuildError(f"cannot copy {found.commit} from {found.repository}: {git.reason(mirror, result)}")


def make(mirror: Path) -> None:
    """Make an empty bare repository for what is fetched, unless it is there. Raises BuildError."""
    if not (mirror / "HEAD").is_file():
        made = git.run(mirror.parent, "init", "--quiet", "--bare", "--template=", str(mirror))
        if made.code:
            raise BuildError(f"cannot make {mirror}: {git.reason(mirror, made)}")


def _there(text: str, url: str, ref: str, mirror: Path, reaching: Sequence[str]) -> tuple[str, str]:
    """What to fetch for a name: itself, or the commit that it is the beginning of; and the branch that it names."""
    patterns = [f"refs/tags/{ref}", f"refs/tags/{ref}^{{}}", f"refs/heads/{ref}"]
    named = _listed(mirror, reaching, url, *patterns)
    # An annotated tag is listed twice: as itself, and with ^{} as what it points to.
    meant = {full: named.get(f"{full}^{{}}", commit) for full, commit in named.items() if not full.endswith("^{}")}
    _refuse_several(text, ref, {full: commit for full, commit in meant.items() if full in patterns})
    if meant or not _SHORT.fullmatch(ref):
        branch = ref.removeprefix("refs/heads/")
        return ref, branch if branch != ref or f"refs/heads/{ref}" in meant else ""
    commits = sorted({commit for commit in _listed(mirror, reaching, url, "refs/heads/*", "refs/tags/*").values()
                      if commit.startswith(ref)})
    if len(commits) != 1:
        why = f"begins {len(commits)} commits" if commits else "begins no commit that a branch or tag there points to"
        raise UsageError(f"{text}: {ref} {why}, and a server does not look further: write the full hash, or clone "
                         f"{url} and name the clone")
    return commits[0], ""


def _listed(mirror: Path, reaching: Sequence[str], url: str, *patterns: str) -> dict[str, str]:
    """Names that a server has, with their hashes; empty where it does not say, which fetching will tell."""
    result = git.run(mirror, *reaching, "ls-remote", "--quiet", "--", url, *patterns)
    rows = (line.split("\t") for line in result.output.splitlines() if not result.code)
    return {name: commit for commit, name in rows}
