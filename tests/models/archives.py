"""Archives as users upload them, and as attackers do."""

import copy
import gzip
import io
import tarfile
import zipfile

EPOCH = (1980, 1, 1, 0, 0, 0)  # zip's own


def make(data):
    files = {name: (data / "external" / name).read_bytes() for name in ("model.onnx", "weights.bin")}
    packed = tar([member(name, content) for name, content in files.items()])
    (data / "good.tar").write_bytes(packed)
    (data / "good.tar.gz").write_bytes(gzip.compress(packed, mtime=0))
    with zipfile.ZipFile(data / "good.zip", "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in files.items():
            archive.writestr(zipfile.ZipInfo(name, EPOCH), content, zipfile.ZIP_DEFLATED)

    model = member("model.onnx", files["model.onnx"])
    (data / "evil-absolute.tar").write_bytes(tar([model, member("/tmp/bottega-evil", b"evil\n")]))
    (data / "evil-parent.tar").write_bytes(tar([model, member("a/../../bottega-evil", b"evil\n")]))
    (data / "evil-link.tar").write_bytes(tar([model, link(tarfile.SYMTYPE, "weights.bin", "/etc/passwd")]))
    (data / "evil-hardlink.tar").write_bytes(tar([model, link(tarfile.LNKTYPE, "weights.bin", "/etc/passwd")]))
    with zipfile.ZipFile(data / "evil-parent.zip", "w") as archive:
        archive.writestr(zipfile.ZipInfo("../bottega-evil", EPOCH), b"evil\n")
    bomb(data / "bomb.zip")


def bomb(file):
    """16 GiB in some kilobytes: 1024 names in the directory for the same 16 MiB of zeros."""
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr(zipfile.ZipInfo("0", EPOCH), bytes(16 << 20), zipfile.ZIP_DEFLATED, 9)
        (first,) = archive.filelist
        for number in range(1, 1024):
            again = copy.copy(first)
            again.filename = str(number)
            archive.filelist.append(again)


def tar(members):
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w", format=tarfile.USTAR_FORMAT) as archive:
        for info, content in members:
            archive.addfile(info, io.BytesIO(content))
    return out.getvalue()


def member(name, content):
    info = tarfile.TarInfo(name)
    info.size = len(content)
    return info, content


def link(kind, name, target):
    info = tarfile.TarInfo(name)
    info.type, info.linkname = kind, target
    return info, b""
