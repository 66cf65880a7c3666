"""Parts on disk: lost, damaged and forged ones; their fingerprints."""

import shutil

import pyarrow.parquet as pq
import pytest

from otoscope.studies import run_study
from otoscope.studies.plan import Plan
from otoscope.studies.store import Jobs
from study_worlds import rows_of


def test_lost_and_truncated_parts_are_made_again_to_the_same(done, tmp_path):
    recipe, out, _, _ = done
    copy = tmp_path / "copy"
    shutil.copytree(out, copy)
    parts = sorted((copy / "parts").iterdir())
    parts[0].unlink()
    parts[1].write_bytes(parts[1].read_bytes()[:200])
    (copy / "results.parquet").write_bytes(b"PAR1 half")
    whole = {f: f.stat().st_mtime_ns for f in parts[2:]}
    run_study(recipe.replace(out=str(copy)), "cpu")
    assert {f: f.stat().st_mtime_ns for f in whole} == whole
    timed = ("seconds", "attribution_seconds")
    for a, b in zip(rows_of(out), rows_of(copy), strict=True):
        assert {k for k in a if k not in timed and a[k] != b[k] and not (a[k] != a[k] and b[k] != b[k])} == set()


def test_keys_hang_on_the_clip_and_not_on_its_neighbours(done, tmp_path):
    recipe, out, _, _ = done
    run_study(recipe.replace(out=str(tmp_path / "ones"), chunk=1), "cpu")
    assert sorted(r["key"] for r in rows_of(tmp_path / "ones")) == sorted(r["key"] for r in rows_of(out))


def spoiled(table, kind):
    import pyarrow as pa

    if kind == "a row short":
        return table.slice(1)
    if kind == "twice":
        return pa.concat_tables([table, table])
    if kind == "no rows":
        return table.slice(0, 0)
    return table.set_column(table.schema.get_field_index("kept"), "kept", pa.array(["x"] * table.num_rows))


@pytest.mark.parametrize("kind", ["a row short", "twice", "no rows", "text for numbers"])
def test_parts_whose_rows_are_not_theirs_are_made_again(done, tmp_path, kind):
    recipe, out, _, _ = done
    copy = tmp_path / "copy"
    shutil.copytree(out, copy)
    part = sorted((copy / "parts").iterdir())[0]
    table = pq.read_table(part)
    pq.write_table(spoiled(table, kind).replace_schema_metadata(table.schema.metadata), part)
    run_study(recipe.replace(out=str(copy)), "cpu")
    assert [r["key"] for r in rows_of(copy)] == [r["key"] for r in rows_of(out)]
    assert [r["kept"] for r in rows_of(copy)] == [r["kept"] for r in rows_of(out)]


def test_a_part_with_any_byte_flipped_is_made_again_or_whole(done, tmp_path):
    recipe, out, _, _ = done
    copy = tmp_path / "copy"
    shutil.copytree(out, copy)
    part = sorted((copy / "parts").iterdir())[0]
    content = bytearray(part.read_bytes())
    store = Jobs(Plan(recipe.replace(out=str(copy)), copy, "cpu")).store
    fingerprints = {store.file(s).name: s for s in Jobs(Plan(recipe, copy, "cpu")).fingerprints()}
    for place in range(0, len(content), 97):
        content[place] ^= 0xFF
        part.write_bytes(bytes(content))
        store.read(fingerprints[part.name])  # never raises
        content[place] ^= 0xFF


def test_seals_hang_on_what_matters(done):
    recipe, out, _, _ = done

    def fingerprints(**changes):
        plan = Plan(recipe.replace(**changes), out, "cpu")
        return Jobs(plan).fingerprints()

    same = fingerprints()
    assert fingerprints(batch_size=1, threads=2, title="other") == same
    assert set(fingerprints(seed=4)).isdisjoint(same)
    assert set(fingerprints(compat=("double_softmax",))).isdisjoint(same)
