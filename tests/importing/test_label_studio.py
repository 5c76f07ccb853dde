"""Label Studio: blind tasks with a configuration that it takes, and its export as verdicts, whole or not at all."""

from __future__ import annotations

import copy
import json
from itertools import product
from xml.etree import ElementTree as ET

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from madetl.errors import InputError, ParameterError
from madetl.exporting import label_studio as tasks_of
from madetl.formats.label_studio import labelling_config, tasks
from madetl.formats.sheets import SheetAssignment
from madetl.importing import label_studio
from madetl.importing.label_studio import Names
from tests.support.sheet_study import MODELS, export, filled, fresh, small_study, take, winners

ANN = {"id": 1, "email": "ann@example.org", "first_name": "Ann", "last_name": ""}
CHOICE = ("response_1", "tie", "response_2", "both_bad")


def write(db, folder, **options):
    return tasks_of.export(db, folder / "project", **({"selection": "latest", "annotator": None, "seed": 42} | options))


def dealt(folder):
    return json.loads((folder / "project" / "tasks.json").read_text("utf-8"))


def annotation(choice, by=1, number=1, **fields):
    """As Label Studio's community edition 1.x exports one."""
    result = [] if choice is None else [
        {"value": {"choices": [choice]}, "id": "aB3", "from_name": "winner", "to_name": "response_1", "type": "choices",
         "origin": "manual"}
    ]  # fmt: skip
    return {
        "id": number, "completed_by": by, "result": result, "was_cancelled": False, "ground_truth": False,
        "created_at": "2026-01-02T03:04:05.678901Z", "updated_at": "2026-01-02T03:05:00Z", "draft_created_at": None,
        "lead_time": 12.5, "prediction": {}, "result_count": 1, "unique_id": "x", "task": 1, "project": 3,
    } | fields  # fmt: skip


def exported(given, *annotations):
    """The export of a project: the n-th task has the n-th of the annotations, or list of them."""
    pairs = zip(given, annotations, strict=False)
    return [
        {"id": 1000 + n, "annotations": some if isinstance(some, list) else [some], "drafts": [], "predictions": [],
         "file_upload": "tasks.json", "meta": {}, "inner_id": n, "created_at": "2026-01-01T00:00:00Z"} | task
        for n, (task, some) in enumerate(pairs, 1)
    ]  # fmt: skip


def bring(db, folder, rows, *annotators, name="export.json"):
    path = folder / name
    path.write_text(json.dumps(rows), encoding="utf-8")
    return label_studio.import_annotations(db, [str(path)], Names.parse(annotators))


@pytest.fixture
def project(db, tmp_path):
    """Nine items, dealt and written."""
    small_study(db, 3)
    write(db, tmp_path)
    return dealt(tmp_path)


def snapshot(db):
    tables = ("judgments", "assignments", "annotators")
    return [[tuple(row) for row in db.execute(f"SELECT * FROM {table} ORDER BY 1")] for table in tables]


class TestExport:
    def test_tasks_are_the_items_of_a_sheet(self, db, tmp_path):
        small_study(db, 3)
        db.execute("UPDATE instructions SET reference_answer = '=1', input = 'in short' WHERE id = 1")
        export(db, tmp_path / "sheet.jsonl")
        done = write(db, tmp_path)
        assert (done.items, done.dealt) == (9, 0)
        rows = [json.loads(line) for line in (tmp_path / "sheet.jsonl").read_text("utf-8").splitlines()]
        shown = ("item", "instruction", "reference_answer", "response_1", "response_2")
        assert [task["data"] for task in dealt(tmp_path)] == [{name: row[name] for name in shown} for row in rows]

    def test_nothing_in_the_files_gives_a_model_away(self, db, tmp_path):
        small_study(db)
        write(db, tmp_path)
        text = "".join(path.read_text("utf-8") for path in (tmp_path / "project").iterdir())
        assert not any(model in text for model in MODELS)
        assert {tuple(task["data"]) for task in dealt(tmp_path)} == {
            ("item", "instruction", "response_1", "response_2")
        }
        assert {tuple(task) for task in dealt(tmp_path)} == {("data",)}

    def test_a_file_has_its_configuration_beside_it(self, db, tmp_path):
        small_study(db, 1)
        tasks_of.export(db, tmp_path / "ann.json", selection="pilot", annotator="ann", seed=1)
        assert sorted(path.name for path in tmp_path.iterdir() if "mad.db" not in path.name) == ["ann.json", "ann.xml"]

    def test_what_an_annotator_judged_is_left_out_and_nothing_left_writes_nothing(self, db, tmp_path):
        small_study(db, 1)
        export(db, tmp_path / "ann.csv", annotator="ann")
        rows = [row["item"] for row in map(dict, db.execute("SELECT id AS item FROM assignments"))]
        take(db, str(filled(tmp_path / "ann.csv", {str(rows[0]): "tie"})))
        assert write(db, tmp_path, annotator="ann").items == 2
        take(db, str(filled(tmp_path / "ann.csv", {"*": "tie"})))
        assert tasks_of.export(db, tmp_path / "new", selection="pilot", annotator="ann", seed=1).items == 0
        assert not (tmp_path / "new").exists()

    @pytest.mark.parametrize("name", ["project.xml", "project.csv", "missing/project", "missing/project.json"])
    def test_a_place_that_cannot_be_written_deals_nothing(self, db, tmp_path, name):
        small_study(db, 1)
        with pytest.raises(ParameterError):
            tasks_of.export(db, tmp_path / name, selection="pilot", annotator=None, seed=1)
        assert db.execute("SELECT count(*) FROM assignments").fetchone()[0] == 0


class TestConfiguration:
    """Label Studio's own package, half a gigabyte, was asked by hand: 2.1.2 finds configuration and tasks valid."""

    @pytest.mark.parametrize(("reference", "both_bad"), [*product((None, "42"), (False, True))])
    def test_it_holds_documented_tags_that_fit_together_and_the_tasks(self, reference, both_bad):
        items = [SheetAssignment(1, '<i> & "q"', reference, "one", "two")]
        view = ET.fromstring(labelling_config(items, both_bad=both_bad))
        found = list(view.iter())
        attributes = {
            "View": {"style"}, "Header": {"value"}, "Text": {"name", "value", "valueType"},
            "Choices": {"name", "toName", "choice", "showInline", "required"}, "Choice": {"value", "alias", "hotkey"},
            "TextArea": {"name", "toName", "placeholder", "maxSubmissions"},
        }  # fmt: skip
        assert all(set(tag.attrib) <= attributes[tag.tag] for tag in found)
        names = [tag.get("name") for tag in found if tag.get("name")]
        assert len(names) == len(set(names))
        texts = {tag.get("name"): tag.get("value") for tag in found if tag.tag == "Text"}
        assert texts == {name: f"${name}" for name in tasks(items)[0]["data"] if name != "item"}
        assert {tag.get("toName") for tag in found if tag.get("toName")} <= texts.keys()
        choices = [tag for tag in found if tag.tag == "Choice"]
        assert [tag.get("alias") for tag in choices] == list(CHOICE if both_bad else CHOICE[:3])
        assert len({tag.get("hotkey") for tag in choices}) == len(choices)


class TestImport:
    def test_verdicts_come_with_annotator_time_and_seconds(self, db, tmp_path, project):
        first = annotation("response_1", ANN)
        first["result"].append({"from_name": "comment", "type": "textarea", "value": {"text": ["short", "and good"]}})
        done = bring(db, tmp_path, exported(project, [first, annotation("tie", 7, 2, lead_time=None)]))
        assert done.summary == "label-studio: 2 judgments (2 new, 0 known)"
        item = project[0]["data"]
        rows = db.execute(
            "SELECT * FROM battles AS b JOIN judgments AS j ON j.id = b.judgment_id ORDER BY j.id"
        ).fetchall()
        assert [row["annotator"] for row in rows] == ["ann@example.org", "label-studio:7"]
        assert rows[0]["response_a"] == item["response_1"]  # in the order shown
        assert [row[0] for row in db.execute("SELECT winner FROM battles")] == ["model_a", "tie"]
        assert [row["comment"] for row in rows] == ["short\nand good", None]
        assert [row["seconds"] for row in rows] == [12.5, None]
        assert {row["created_at"] for row in rows} == {"2026-01-02T03:04:05.678Z"}
        assert {row["source"] for row in rows} == {"label-studio:export.json"}
        states = db.execute("SELECT annotator_id, state FROM assignments WHERE annotator_id IS NOT NULL").fetchall()
        assert [tuple(row) for row in states] == [(1, "judged"), (2, "judged")]

    @settings(max_examples=15, deadline=None)
    @given(
        st.lists(st.sampled_from([*CHOICE, "Answer 1 is better", "Answer 2 is better", None]), min_size=9, max_size=9)
    )
    def test_a_verdict_is_the_same_as_on_a_sheet(self, choices):
        with fresh() as (db, folder):
            small_study(db, 3)
            write(db, folder)
            export(db, folder / "sheet.csv")
            given_tasks = dealt(folder)
            bring(db, folder, exported(given_tasks, *(annotation(choice) for choice in choices)), "ann")
            shown = {"Answer 1 is better": "response_1", "Answer 2 is better": "response_2", None: ""}
            words = {
                str(task["data"]["item"]): shown.get(choice, choice)
                for task, choice in zip(given_tasks, choices, strict=True)
            }
            take(db, str(filled(folder / "sheet.csv", words)), annotator="bob")
            rows = winners(db)
            by = {who: sorted(str(name) for other, name in rows if other == who) for who in ("ann", "bob")}
            assert by["ann"] == by["bob"]
            sql = "SELECT response_a_id, response_b_id, winner FROM judgments WHERE annotator_id = ? ORDER BY 1, 2"
            assert list(map(tuple, db.execute(sql, (1,)))) == list(map(tuple, db.execute(sql, (2,))))

    def test_a_second_import_adds_nothing_and_a_sheet_with_the_same_verdict_neither(self, db, tmp_path, project):
        rows = exported(project, annotation("response_1"), annotation("tie"), annotation("tie", was_cancelled=True))
        bring(db, tmp_path, rows, "ann")
        before = snapshot(db)
        done = bring(db, tmp_path, rows, "1=ann")
        assert done.summary == "label-studio: 2 judgments (0 new, 2 known); 1 skipped"
        assert snapshot(db) == before
        export(db, tmp_path / "sheet.csv")
        item = str(project[0]["data"]["item"])
        assert take(db, str(filled(tmp_path / "sheet.csv", {item: "response_1"})), annotator="ann").known == 1

    def test_what_is_no_verdict_is_left_out_and_told_of(self, db, tmp_path, project):
        rows = exported(
            project,
            annotation("tie", was_cancelled=True),
            annotation("tie", ground_truth=True),
            annotation(None),
            [],
            [annotation("response_2"), annotation("tie", 2, ground_truth=True)],
        )
        rows[3]["predictions"] = [{"result": annotation("tie")["result"]}]
        rows[3]["drafts"] = [annotation("tie")]
        done = bring(db, tmp_path, rows, "ann")
        assert done.summary == "label-studio: 1 judgment (1 new, 0 known); 1 item left empty; 1 skipped"
        assert done.warnings == ["2 annotations are marked as ground truth and were left out."]
        skipped = db.execute("SELECT selection_id, shown_first, decided_at FROM assignments WHERE state = 'skipped'")
        seen = db.execute(
            "SELECT selection_id, shown_first FROM assignments WHERE id = ?", (project[0]["data"]["item"],)
        )
        assert [tuple(row) for row in skipped] == [(*seen.fetchone(), "2026-01-02T03:04:05.678Z")]

    def test_a_skipped_item_can_be_judged_later(self, db, tmp_path, project):
        bring(db, tmp_path, exported(project, annotation("tie", was_cancelled=True)), "ann")
        assert bring(db, tmp_path, exported(project, annotation("tie")), "ann").summary.startswith(
            "label-studio: 1 judgment (1 new"
        )
        assert bring(db, tmp_path, exported(project, annotation("tie", was_cancelled=True)), "ann").counts[
            "items skipped"
        ]
        states = [
            row[0]
            for row in db.execute("SELECT state FROM assignments WHERE annotator_id IS NOT NULL ORDER BY dealt_at")
        ]
        assert states == ["skipped", "judged"]

    def test_a_judged_item_is_not_skipped(self, db, tmp_path, project):
        bring(db, tmp_path, exported(project, annotation("tie")), "ann")
        before = snapshot(db)
        bring(db, tmp_path, exported(project, annotation("tie", was_cancelled=True)), "ann")
        assert snapshot(db) == before

    def test_several_people_are_no_repetition_of_one_another(self, db, tmp_path, project):
        export(db, tmp_path / "sheet.csv")
        take(db, str(filled(tmp_path / "sheet.csv", {"*": "tie"})), annotator="bob")
        rows = exported(project, *([annotation("tie", 1), annotation("tie", 2)] for _ in project))
        done = bring(db, tmp_path, rows, "1=ann", "2=cat")
        assert (done.counts["judgments new"], done.warnings) == (18, [])

    def test_an_item_dealt_to_a_person_is_theirs(self, db, tmp_path):
        small_study(db, 1)
        write(db, tmp_path, annotator="ann")
        rows = exported(dealt(tmp_path), annotation("tie", 7), annotation("tie", 7))
        with pytest.raises(InputError, match="--annotator 7=ann says that label-studio:7 is ann"):
            bring(db, tmp_path, rows)
        assert bring(db, tmp_path, rows, "7=ann").counts["judgments new"] == 2

    def test_who_is_known_by_a_number_alone_is_told_of(self, db, tmp_path, project):
        (warning,) = bring(db, tmp_path, exported(project, annotation("tie", 7))).warnings
        assert "--annotator ID=NAME" in warning

    def test_a_verdict_that_changed_is_refused(self, db, tmp_path, project):
        bring(db, tmp_path, exported(project, annotation("tie")), "ann")
        before = snapshot(db)
        with pytest.raises(InputError, match=r"ann judged item \d+ already \(run 2\): tie then, response_1 now"):
            bring(db, tmp_path, exported(project, annotation("response_1"), annotation("tie")), "ann")
        assert snapshot(db) == before


def changed(rows, path, value):
    """The rows with one value of the second task replaced."""
    rows = copy.deepcopy(rows)
    target = rows[1]
    for step in path[:-1]:
        target = target[step]
    target[path[-1]] = value
    return rows


BAD = [
    (("data",), "x", "task 1002: missing; expected the number that `madetl export label-studio` wrote"),
    (("data", "item"), None, "task 1002: missing"),
    (("data", "item"), "one", '"one" is no item number'),
    (("data", "item"), True, "true is no item number"),
    (("data", "response_1"), "something else", "the text is not that of item 2"),
    (("annotations",), None, "found null; expected a list of objects"),
    (("annotations",), [1], "found a list; expected a list of objects"),
    (("annotations", 0, "completed_by"), None, "nobody is named"),
    (("annotations", 0, "completed_by"), {"first_name": "A"}, "nobody is named"),
    (("annotations", 0, "result"), None, "found null; expected a list"),
    (("annotations", 0, "result", 0, "from_name"), "label", "no winner is chosen in it"),
    (("annotations", 0, "result", 0, "value"), {}, "found null as the winner"),
    (("annotations", 0, "result", 0, "value", "choices"), ["tie", "response_1"], "expected a list of one choice"),
    (("annotations", 0, "result", 0, "value", "choices"), [7], "expected a list of one choice"),
    (("annotations", 0, "result", 0, "value", "choices"), ["Great"], '"Great" is no verdict'),
    (("annotations", 0, "lead_time"), -1, "found -1; expected seconds"),
    (("annotations", 0, "lead_time"), "long", 'found "long"; expected seconds'),
    (("annotations", 0, "created_at"), "yesterday", "is no time"),
]


class TestBadFiles:
    @pytest.mark.parametrize("bad", BAD, ids=lambda bad: f"{bad[0][-1]}={bad[1]}")
    def test_a_bad_row_is_named_and_nothing_is_imported(self, db, tmp_path, project, bad):
        path, value, message = bad
        rows = exported(project, *(annotation("tie") for _ in project))
        before = snapshot(db)
        with pytest.raises(InputError) as error:
            bring(db, tmp_path, changed(rows, path, value))
        assert message in str(error.value)
        assert "Nothing of this file was imported." in str(error.value)
        assert snapshot(db) == before

    def test_all_faults_are_told_at_once(self, db, tmp_path, project):
        rows = exported(project, *(annotation("tie", number=n) for n in range(9)))
        rows[0]["annotations"][0]["lead_time"] = -1
        rows[4]["annotations"][0]["result"][0]["value"]["choices"] = ["Great"]
        with pytest.raises(InputError) as error:
            bring(db, tmp_path, rows)
        text = str(error.value)
        assert "2 faults in its rows. Nothing of this file was imported." in text
        for part in ("task 1001, annotation 0: found -1", 'task 1005, annotation 4: "Great"'):
            assert part in text

    def test_an_item_that_was_removed_since_fails_the_file(self, db, tmp_path, project):
        rows = exported(project, *(annotation("tie", number=n) for n in range(3)))
        rows[1]["data"]["item"] = 4711
        before = snapshot(db)
        with pytest.raises(InputError, match=r"this database has no item 4711\..*Nothing of this file was imported"):
            bring(db, tmp_path, rows)
        assert snapshot(db) == before

    def test_two_annotations_of_one_person_that_differ(self, db, tmp_path, project):
        rows = exported(project, [annotation("tie", number=1), annotation("response_1", number=2)])
        with pytest.raises(InputError, match=r"has two annotations of item \d+ that differ"):
            bring(db, tmp_path, rows)
        rows = exported(project, [annotation("tie", number=1), annotation("tie", number=2)])
        assert bring(db, tmp_path, rows).counts["judgments new"] == 1

    @pytest.mark.parametrize(
        ("rows", "message"),
        [
            ([{"item": 1, "winner": "tie", "annotator": 1, "annotation_id": 2}], "this is Label Studio's JSON-MIN"),
            ([{"data": {"item": 1}}], "these are tasks without annotations"),
            ([{"instruction": "x", "model_a": "m"}], "found the fields instruction, model_a"),
            ([], "there are no rows in it"),
            ([1], "expected an object"),
        ],
    )
    def test_other_files_are_told_apart(self, db, tmp_path, rows, message):
        with pytest.raises(InputError, match=message):
            bring(db, tmp_path, rows)

    @pytest.mark.parametrize(
        ("annotators", "message"),
        [(("ann", "bob"), "either one"), (("ann", "1=bob"), "either one"), (("1=a", "1=b"), "either one"),
         (("",), "is empty"), (("1=",), "is empty"), (("=ann",), "is empty")],
    )  # fmt: skip
    def test_names_that_make_no_sense(self, annotators, message):
        with pytest.raises(ParameterError, match=message):
            Names.parse(annotators)

    def test_one_name_for_several_people_and_names_for_nobody(self, db, tmp_path, project):
        rows = exported(project, annotation("tie", ANN), annotation("tie", 7))
        with pytest.raises(InputError, match=r"2 people judged in it: ann@example\.org, 7"):
            bring(db, tmp_path, rows, "ann")
        with pytest.raises(InputError, match="--annotator names 8, but nobody"):
            bring(db, tmp_path, rows, "7=x", "8=y")
        # an address and an id mean the same person
        bring(db, tmp_path, rows, "1=ann", "7=bob")
        assert [who for who, _ in winners(db)] == ["ann", "bob"]


def test_the_commands(db, madetl, tmp_path):
    small_study(db, 1)
    done = madetl("export", "label-studio", "--both-bad", "-o", tmp_path / "project")
    assert done.stdout == f"{tmp_path / 'project'}: 3 tasks of selection pilot\n"
    assert "both_bad" in (tmp_path / "project" / "config.xml").read_text("utf-8")
    path = tmp_path / "export.json"
    path.write_text(json.dumps(exported(dealt(tmp_path), *(annotation(choice) for choice in CHOICE[1:]))), "utf-8")
    done = madetl("import", "label-studio", path, "--annotator", "1=ann")
    assert done.stdout.startswith("label-studio: 3 judgments (3 new, 0 known)\nNext:\n")
    counts = json.loads(madetl("import", "label-studio", path, "--annotator", "ann", "--json").stdout)["counts"]
    assert counts["judgments known"] == 3
    assert madetl("import", "label-studio", tmp_path / "project" / "tasks.json", status=1).stderr.startswith("Error: ")
