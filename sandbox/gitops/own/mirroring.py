"""Putting a user's repository, and those that it needs beside it, onto the sandbox's Git server.

On top of each branch comes at most one commit, which has the manifests name the mirrors where they
named the repositories: ``git show`` tells all that differs from what the user has.
"""

from __future__ import annotations

import contextlib
import re
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

from sandbox.core.files import make_private_dir
from sandbox.engines.access import Access
from sandbox.gitops.git import BareRepo, Credential, GitError
from sandbox.gitops.own.addresses import place_of
from sandbox.gitops.own.copying import Copy, copied
from sandbox.gitops.own.findings import Finding, Level
from sandbox.gitops.own.layout import Layout, Submodule
from sandbox.gitops.own.planning import deployed_spec, sources_of
from sandbox.gitops.own.rewriting import rewritten, takes_address_from_values
from sandbox.servers.repositories import create_repository, set_default_branch

__all__ = ["Mirror", "mirrored"]

_MESSAGE = """Have the manifests name this mirror

Where they named {given}, they name its mirror in the sandbox. Nothing else differs."""
_NOT_IN_NAMES = re.compile(r"[^a-z0-9._-]+")
_FOLLOWED = re.compile(r"""(?:targetRevision|revision)["']?:[ \t]*["']?([^\s"',}#]+)""")
# What is no SHA and no version, a constraint least of all.
_BRANCH = re.compile(r"(?![0-9a-f]{7,40}$)(?!v?\d)[A-Za-z][\w./-]*")
_CONSTRAINT = re.compile(r"[*<>=^~|]|\.x\b|^x$")
_NAMED = 10


@dataclass(frozen=True, slots=True)
class Mirror:
    """A user's repository on the sandbox's Git server.

    Attributes:
        repository: Its name there.
        url: Its address there, as the cluster reaches it.
        copy: What it was made from.
        revision: The commit that its HEAD names.
        layout: What lies in that commit.
        rewritten: The files that name the mirror instead of the repository.
        findings: What Argo CD will stumble over, by the files alone.
    """

    repository: str
    url: str
    copy: Copy
    revision: str
    layout: Layout
    rewritten: tuple[str, ...]
    findings: tuple[Finding, ...]


def mirrored(
    access: Access, given: str, *, owner: str, committed: bool = False, beside: tuple[str, ...] = ()
) -> Mirror:
    """Mirror a repository; done again, the mirror gets what is new, and Argo CD is told by a webhook.

    Args:
        access: The way into the sandbox.
        given: The repository: a path or an address.
        owner: What the names of its mirrors begin with.
        committed: Whether only what is committed takes part.
        beside: Other repositories that its Applications name: they are mirrored too.

    Raises:
        UsageError: One of them is no repository, or there is nothing in it.
        GitError: The Git server refused it.
        UnavailableError: An address can't be reached.
    """
    work = make_private_dir(access.folder / "work" / owner)
    copies = [copied(each, work / f"{number}.git", committed=committed) for number, each in enumerate((given, *beside))]
    modules: dict[str, str] = {}
    copies += _submodules(copies[0], work, modules)
    names = _names(owner, copies)
    # As the cluster reaches the Git server, which may be by another address than ours.
    urls = {name: f"{access.git_inside or access.git.url}/{name}.git" for name in names}
    mirrors = {place: urls[name] for name, copy in zip(names, copies, strict=True) for place in copy.places}
    mirrors |= {address: mirrors[place] for address, place in modules.items() if place in mirrors}
    missing = _missing_branches(copies[0])
    guess = _guessed(Layout(copies[0].repository, copies[0].repository.revision("HEAD")), mirrors)
    mirrors |= dict.fromkeys(guess, urls[names[0]])
    changed = [_push(access, name, copy, mirrors) for name, copy in zip(names, copies, strict=True)]
    own = copies[0]
    revision = own.repository.revision("HEAD")
    layout = Layout(own.repository, revision)
    notes = [*own.notes, *(f"stands in for the branch {name} too, which this clone does not have" for name in missing)]
    notes += [*(f"{place} is taken for it: none of its remotes is named" for place in guess)]
    return Mirror(
        names[0],
        urls[names[0]],
        replace(own, notes=tuple(notes)),
        revision,
        layout,
        changed[0],
        tuple(_stumbles(layout, {place_of(each) or each for each in [*mirrors, *urls.values()]})),
    )


def _submodules(copy: Copy, work: Path, modules: dict[str, str]) -> list[Copy]:
    """Copy the submodules that are checked out; note by which address each is asked for."""
    found = []
    for module in Layout(copy.repository, copy.repository.revision("HEAD")).submodules:
        folder = (copy.top or Path("/nonexistent")) / module.path
        if not (folder / ".git").exists():
            continue
        number = len(list(work.glob("*.git")))
        inner = copied(str(folder), work / f"{number}.git", committed=True)
        # The commit that is asked for, which no branch needs to hold; where it is not here, Argo CD says so.
        with contextlib.suppress(GitError):
            inner.repository.move(f"refs/heads/{inner.branch}", module.commit)
        place = place_of(module.address) or module.address
        modules[module.address] = place
        found.append(replace(inner, places=inner.places | {place}))
    return found


def _missing_branches(copy: Copy) -> list[str]:
    """Have what is checked stand in for branches that are followed, where the clone can't be expected to have them."""
    if not copy.partial:
        return []
    repository, head = copy.repository, copy.repository.revision("HEAD")
    known = {each.removeprefix("refs/heads/").removeprefix("refs/tags/") for each in repository.references()}
    specs = [deployed_spec(each.manifest) for each in Layout(repository, head).declared]
    asked = {source.revision for spec in specs for source in sources_of(spec) if not source.chart}
    missing = sorted(each for each in asked if _BRANCH.fullmatch(each) and each not in known and each != "HEAD")
    for name in missing:
        repository.move(f"refs/heads/{name}", head)
    return missing


def _names(owner: str, copies: list[Copy]) -> list[str]:
    names: list[str] = []
    for copy in copies:
        plain = _NOT_IN_NAMES.sub("-", copy.name.lower()).strip("-._")[:40].rstrip("-._") or "repository"
        # Called `*/environment`: what is pushed there, the CI runner is not told of.
        name, number = f"{owner}/{plain}/environment", 2
        while name in names:
            name, number = f"{owner}/{plain}-{number}/environment", number + 1
        names.append(name)
    return names


def _guessed(layout: Layout, mirrors: dict[str, str]) -> list[str]:
    """Give the one place that must mean this repository, where none of its remotes is named."""
    asked: dict[str, set[str]] = {}
    for declared in layout.declared:
        for source in sources_of(deployed_spec(declared.manifest)):
            if (place := place_of(source.address)) and not source.chart:
                asked.setdefault(place, set()).add(source.path.strip("/"))
    if any(place in mirrors for place in asked):
        return []
    here = [place for place, paths in asked.items() if all(_has(layout, path) for path in paths)]
    return here if len(here) == 1 else []


def _has(layout: Layout, path: str) -> bool:
    if "{{" in path or path in ("", "."):
        return True
    return any(entry.startswith(f"{path.removeprefix('./')}/") for entry in layout.entries)


def _push(access: Access, name: str, copy: Copy, mirrors: dict[str, str]) -> tuple[str, ...]:
    """Put a copy onto the Git server; return the files that were rewritten in what HEAD names."""
    repository = copy.repository
    head = repository.revision("HEAD")
    amended: dict[str, str] = {}
    changed: tuple[str, ...] = ()
    for reference in _followed(repository, Layout(repository, head)):
        revision = repository.revision(reference)
        if revision not in amended:
            contents = dict(_rewritings(repository, revision, mirrors))
            message = _MESSAGE.format(given=copy.given)
            amended[revision] = repository.amended(revision, contents, message) if contents else revision
            changed = tuple(sorted(contents)) if revision == head else changed
        if amended[revision] != revision:
            repository.move(reference, amended[revision])
    create_repository(access.repositories, name)
    set_default_branch(access.repositories / f"{name}.git", copy.branch)
    credential = Credential(access.git.url, access.git.user, access.git.password())
    repository.push(f"{access.git.url}/{name}.git", credential)
    return changed


def _followed(repository: BareRepo, layout: Layout) -> list[str]:
    """Give the branches, and the tags that an Application may follow: a repository may have thousands."""
    texts = [layout.text(path) for path in layout.entries if path.endswith((".yaml", ".yml", ".json"))]
    words = {word for text in texts if "evision" in text for word in _FOLLOWED.findall(text)}
    any_tag = any(_CONSTRAINT.search(word) for word in words)
    return [
        reference
        for reference in repository.references()
        if reference.startswith("refs/heads/") or any_tag or reference.removeprefix("refs/tags/") in words
    ]


def _rewritings(repository: BareRepo, revision: str, mirrors: dict[str, str]) -> Iterator[tuple[str, bytes]]:
    layout = Layout(repository, revision)
    tails = {place if place.startswith(("/", ".")) else place.partition("/")[2] for place in mirrors}
    # A pattern of sourceRepos may speak of a repository without its name.
    paths = {*repository.having(revision, [*sorted(tails), "sourceRepos"]), ".gitmodules"}
    templated = [
        chart
        for chart in layout.charts_of_applications
        if any(takes_address_from_values(layout.text(path)) for path in layout.entries if path.startswith(chart))
    ]
    for path in sorted(paths):
        text = layout.text(path)
        values = any(path.startswith(f"{chart}/".lstrip("/")) and "/templates/" not in path for chart in templated)
        new = rewritten(text, mirrors, path=path, values=values)
        if new != text:
            yield path, new.encode()


def _stumbles(layout: Layout, places: set[str]) -> Iterator[Finding]:
    """Find what Argo CD will stumble over."""
    for path, target in layout.links_outside.items():
        yield Finding(
            Level.ERROR,
            "",
            path,
            f"this symbolic link leads out of the repository, to {target}",
            why="Argo CD renders nothing at all of a repository that has one (out-of-bounds symlinks)",
            hint="put the file itself in its place, or take the link out: git rm --cached PATH",
        )
    pointers = layout.lfs_pointers
    for path in pointers[:_NAMED]:
        yield _pointer(path)
    if len(pointers) > _NAMED:
        yield Finding(Level.WARNING, "", "", f"{len(pointers) - _NAMED} more files are Git LFS pointers")
    for module in layout.submodules:
        if (place_of(module.address) or module.address) not in places:
            yield _absent(module)


def _pointer(path: str) -> Finding:
    return Finding(
        Level.WARNING,
        "",
        path,
        "this is a Git LFS pointer: Argo CD sees the pointer, not the file",
        why="its repo-server fetches LFS objects only where the repository is registered with enableLfs",
        hint="keep manifests out of Git LFS, or check that no Application reads this file",
    )


def _absent(module: Submodule) -> Finding:
    return Finding(
        Level.ERROR,
        "",
        module.path,
        f"this submodule, {module.address or 'without an address in .gitmodules'}, is not checked out here",
        why="Argo CD fetches submodules with the repository, and can't have this one from the sandbox",
        hint=f"git submodule update --init {module.path}, then again",
    )
