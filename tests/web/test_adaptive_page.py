"""The page that picks as people judge: real HTTP with several people at once, from the first pair to the last page."""

from __future__ import annotations

import html
import json
import re
import threading
from collections import Counter, defaultdict
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from madetl.selection import select as selection
from madetl.selection.select import SelectionParameters
from madetl.selection.sets import Adaptive
from madetl.store import database
from tests.conftest import Study
from tests.support.measured_study import LETTERS, SECRETS, build
from tests.support.page_study import Plain, rows, serving
from tests.support.sheet_study import select

pytestmark = pytest.mark.slow
PEOPLE = ("ann", "bob", "cat", "dan")
DEFAULT = "all-char-ngram-adaptive"
Winner = Callable[[str, str], str]


@pytest.fixture
def file(db_file: Path) -> Path:
    with database.writing(db_file) as db:
        build(db)
    return db_file


@pytest.fixture
def three(db_file: Path) -> Path:
    """Of three models, so that few votes settle their order."""
    with database.writing(db_file) as db:
        build(db, models=3)
    return db_file


def shown(page: Plain) -> tuple[str, str]:
    """The letters of the answers that the person has before them."""
    first, second = re.findall(r"says (\w)\.", page.at.text)
    return first, second


def at_item(page: Plain) -> bool:
    return 'name="item"' in page.at.text


def progress(page: Plain) -> str:
    return re.search(r"<progress.*?<span>(.*?)</span>", page.at.text, re.DOTALL)[1]


def text(page: Plain) -> str:
    """The words of the page."""
    return " ".join(html.unescape(re.sub(r"<[^>]*>", " ", page.at.text)).split())


def by_letter(first: str, second: str) -> str:
    return "first" if first < second else "second"


class PartlyEven:
    """P and Q win in turn against each other; whoever comes first in the alphabet wins otherwise. For many threads."""

    def __init__(self) -> None:
        self._lock, self._turn = threading.Lock(), False

    def __call__(self, first: str, second: str) -> str:
        if {first, second} != {"P", "Q"}:
            return by_letter(first, second)
        with self._lock:
            self._turn = not self._turn
            return "first" if (first == "P") == self._turn else "second"


def enter(link: str) -> Plain:
    """Opens the link; somebody new goes on from the guidelines."""
    page = Plain(link)
    if not at_item(page):
        page.begin()
    return page


def work(link: str, winner: Winner = by_letter, most: int = 1000) -> Plain:
    """Judges until the last page, or `most` verdicts."""
    page = enter(link)
    while most and at_item(page):
        page.judge(winner(*shown(page)))
        most -= 1
    return page


def all_at_once(links: Sequence[str], winner: Winner = by_letter) -> list[Plain]:
    with ThreadPoolExecutor(len(links)) as pool:
        return list(pool.map(lambda link: work(link, winner), links))


def picks(file: Path) -> Counter[str]:
    """Picks of each pair of models, as letters."""
    letter = dict(zip(SECRETS, LETTERS, strict=True))
    found = rows(file, "SELECT model_a, model_b FROM selected_pairs ORDER BY selection_id")
    return Counter(letter[a] + letter[b] for a, b in found)


def verdicts(file: Path) -> dict[tuple[int, int], list[int]]:
    """The people who judged each response pair, repeats apart."""
    found = defaultdict(list)
    sql = (
        "SELECT j.response_a_id, j.response_b_id, j.annotator_id FROM judgments AS j"
        " JOIN assignments AS a ON a.id = j.assignment_id WHERE a.repeat = 0"
    )
    for a, b, annotator in rows(file, sql):
        found[a, b].append(annotator)
    return found


class TestSeveralAtOnce:
    def test_nobody_gets_the_pair_of_another_and_the_budget_is_kept(self, file):
        with serving(file, "--adaptive", "--budget", 30, "--floor", 2, "--repeat", 0, annotators=PEOPLE) as page:
            assert f"Selection {DEFAULT}: 0 of 30 verdicts given." in page.output
            ended = all_at_once(list(page.links.values()))
        assert Counter(map(len, verdicts(file).values())) == {1: 30}
        assert rows(file, "SELECT count(*), count(DISTINCT annotator_id) > 1 FROM judgments") == [(30, True)]
        # each dealt once, to one person
        assert rows(file, "SELECT count(*), count(DISTINCT selection_id) FROM assignments") == [(30, 30)]
        # two of each of the six pairs, before votes decide
        assert set(Counter(rows(file, "SELECT pair_id FROM selections ORDER BY id LIMIT 12")).values()) == {2}
        assert min(picks(file).values()) >= 2
        assert rows(file, "SELECT budget, pair_policy, strategy FROM selection_sets") == [(30, "adaptive", "mad")]
        assert any("All 30 verdicts of the study are there." in text(one) for one in ended)  # whoever came last
        people = rows(file, "SELECT count(DISTINCT annotator_id) FROM judgments")[0][0]  # a slow one may get nothing
        closing = f"30 verdicts given by {people} annotators: the budget is used up. Next: madetl rank"
        assert page.output.splitlines()[-1] == closing

    @pytest.mark.parametrize(("budget", "pairs"), [(16, 8), (5, 3)])
    def test_with_overlap_each_pair_gets_two_people(self, file, budget, pairs):
        with serving(
            file, "--adaptive", "--budget", budget, "--overlap", 2, "--repeat", 0, annotators=PEOPLE[:3]
        ) as page:
            assert f"0 of {2 * pairs} verdicts given" in page.output
            all_at_once(list(page.links.values()))
        found = verdicts(file).values()
        assert [len(set(people)) for people in found] == [2] * pairs
        assert [len(people) for people in found] == [2] * pairs
        assert f"{2 * pairs} verdicts given" in page.output
        assert "the budget is used up." in page.output

    def test_repeats_do_not_count_against_the_budget(self, file):
        with serving(file, "--adaptive", "--budget", 20, "--repeat", 0.2) as page:
            done = work(page.links["ann"])
        assert sum(map(len, verdicts(file).values())) == 20
        assert rows(file, "SELECT count(*) FROM judgments") == [(24,)]
        assert "You have given 24 verdicts." in text(done)
        assert "All 20 verdicts of the study are there." in text(done)


class TestGrowth:
    def test_it_goes_where_the_order_is_in_doubt(self, file):
        with serving(file, "--adaptive", "--budget", 42, "--repeat", 0, annotators=PEOPLE[:3]) as page:
            all_at_once(list(page.links.values()), PartlyEven())
        found = picks(file)
        assert found.total() == 42
        assert found["PQ"] > 2 * max(number for pair, number in found.items() if pair != "PQ")
        probabilities = {round(row[0], 9) for row in rows(file, "SELECT probability FROM selections")}
        # the floor, the share that votes do not decide, and what they do, shared by pairs that tell equally much
        decided = {round(0.9 / equal + 0.1 / 6, 9) for equal in range(1, 7)}
        assert probabilities <= {1.0, round(0.1 / 6, 9)} | decided
        assert len(probabilities) >= 2

    def test_a_pair_is_picked_when_somebody_needs_it_and_not_before(self, file):
        with serving(file, "--adaptive", "--budget", 30, annotators=PEOPLE[:2]) as page:
            assert rows(file, "SELECT count(*) FROM selections") == [(0,)]
            ann, bob = enter(page.links["ann"]), enter(page.links["bob"])
            assert rows(file, "SELECT count(*) FROM selections") == [(2,)]
            ann.judge("tie")
            assert rows(file, "SELECT count(*) FROM selections") == [(3,)]
            bob.get("/item")
            bob.get("/done")
            assert rows(file, "SELECT count(*) FROM selections") == [(3,)]

    def test_what_is_selected_already_is_dealt_first(self, file):
        with database.writing(file) as db:
            selection.select(db, SelectionParameters(adaptive=Adaptive(budget=10)))
        with serving(file, "--adaptive", "--repeat", 0) as page:
            assert "0 of 10 verdicts given" in page.output
            work(page.links["ann"], most=5)
            assert rows(file, "SELECT count(*) FROM selections") == [(6,)]
            work(page.links["ann"], most=2)
            assert rows(file, "SELECT count(*) FROM selections") == [(8,)]

    def test_it_ends_where_no_answer_is_left_to_compare(self, db_file):
        with database.writing(db_file) as db:
            build(db, models=3, instructions=2)
        with serving(db_file, "--adaptive", "--budget", 100, "--repeat", 0) as page:
            done = work(page.links["ann"])
        assert "There are no more answers to compare." in text(done)
        assert "All 6 verdicts of the study are there." in text(done)
        assert "Nothing is left for you to do." in text(done)
        assert "6 verdicts given by 1 annotator: no candidate is left." in page.output


class TestStopping:
    def test_it_stops_once_sure_and_says_so_without_names(self, three):
        with serving(three, "--adaptive", "--budget", 60, "--stop-at", 0.8, "--repeat", 0) as page:
            ann = enter(page.links["ann"])
            assert progress(ann) == "0 of at most 60"
            done = work(page.links["ann"])
            given = rows(three, "SELECT count(*) FROM judgments")[0][0]
            assert 3 < given < 40
            assert "The ranking is settled" in text(done)
            assert f"All {given} verdicts of the study are there." in text(done)
            assert "There is more" not in text(done)
            done.begin()
            assert not at_item(done)
        assert not any(secret in answer.text for answer in (*ann.seen, *done.seen) for secret in SECRETS)
        assert page.output.splitlines()[-1] == (
            f"{given} verdicts given by 1 annotator: every order of neighbours is at least 80 % sure. Next: madetl rank"
        )
        [(command, kept)] = rows(three, "SELECT command, parameters FROM runs")
        kept = json.loads(kept)
        assert (command, kept["selection"], kept["budget"], kept["stop_at"]) == ("annotate", DEFAULT, 60, 0.8)

        with serving(three, "--adaptive", "--stop-at", 0.8, "--repeat", 0) as page:
            assert "(nothing is left to judge)" in page.output
        assert "Nothing new is picked: every order of neighbours is at least 80 % sure." in page.errors
        # when a higher probability is asked for
        with serving(three, "--adaptive", "--stop-at", 0.95) as page:
            assert at_item(enter(page.links["ann"]))

    def test_what_is_open_may_be_finished(self, three):
        with serving(
            three, "--adaptive", "--budget", 60, "--stop-at", 0.8, "--repeat", 0, annotators=PEOPLE[:2]
        ) as page:
            bob = enter(page.links["bob"])
            ann = work(page.links["ann"])
            assert "The ranking is settled" in text(ann)
            assert "Somebody else may be looking at what is left." in text(ann)
            assert at_item(bob)
            bob.judge(by_letter(*shown(bob)))
            assert "You have given 1 verdict." in text(bob)
            assert "The ranking is settled" in text(bob)
        given, still_open = rows(three, "SELECT count(*), sum(state = 'open') FROM assignments")[0]
        assert (rows(three, "SELECT count(*) FROM judgments"), still_open) == ([(given,)], 0)

    def test_the_closing_line_counts_what_is_open(self, three):
        with serving(
            three, "--adaptive", "--budget", 60, "--stop-at", 0.8, "--repeat", 0, annotators=PEOPLE[:2]
        ) as page:
            enter(page.links["bob"])
            work(page.links["ann"])
        assert "at least 80 % sure, 1 verdict still to come. Next" in page.output


class TestGoingOn:
    def test_a_restart_and_a_larger_budget_go_on_and_a_smaller_one_is_refused(self, file, madetl):
        with serving(file, "--adaptive", "--budget", 8, "--repeat", 0) as page:
            item = work(page.links["ann"], most=3).fields()["item"]
            link = page.links["ann"].rpartition("/")[2]
        assert "3 verdicts given by 1 annotator: 3 of 8 are there." in page.output
        with serving(file, "--adaptive", "--repeat", 0) as page:
            assert page.links["ann"].endswith(link)
            assert "3 of 8 verdicts given" in page.output
            ann = enter(page.links["ann"])
            assert (ann.fields()["item"], progress(ann)) == (item, "3 of 8")
            assert "All 8 verdicts" in text(work(page.links["ann"]))
        with serving(file, "--adaptive", "--budget", 11, "--repeat", 0) as page:
            assert "8 of 11 verdicts given" in page.output
            work(page.links["ann"])
        assert len(verdicts(file)) == 11
        refused = madetl("annotate", "--adaptive", "--budget", 10, status=1).stderr
        assert f"{DEFAULT} has a budget of 11" in refused
        assert "Leave --budget out" in refused
        assert rows(file, "SELECT name, budget FROM selection_sets") == [(DEFAULT, 11)]

    def test_a_selection_that_select_began_grows_by_its_own_parameters(self, file):
        with database.writing(file) as db:
            plan = Adaptive(budget=7)
            selection.select(db, SelectionParameters(strategy="random", seed=9, name="mine", adaptive=plan))
        with serving(file, "--adaptive", "--selection", "mine", "--repeat", 0) as page:
            work(page.links["ann"])
        assert rows(file, "SELECT name, strategy, seed FROM selection_sets") == [("mine", "random", 9)]
        assert rows(file, "SELECT count(*), count(cost) FROM selections") == [(7, 0)]


class TestWhatIsRefused:
    def test_options_of_adaptive_without_it(self, file, madetl):
        assert "--floor goes with --adaptive" in madetl("annotate", "--floor", 1, status=2).stderr
        assert "--budget goes with --adaptive" in madetl("annotate", "--budget", 5, "--stop-at", 0.9, status=2).stderr

    def test_a_budget_is_needed_to_begin(self, file, madetl):
        assert "Give --budget N." in madetl("annotate", "--adaptive", status=1).stderr
        assert rows(file, "SELECT count(*) FROM runs") == [(0,)]

    def test_a_selection_that_does_not_grow(self, file, madetl):
        with database.writing(file) as db:
            selection.select(db, SelectionParameters(top_k=2, name="fixed"))
        refused = madetl("annotate", "--adaptive", "--selection", "fixed", "--budget", 5, status=1).stderr
        assert "'fixed' has K = 2 picks of every model pair" in refused
        assert "Leave --adaptive out" in refused
        assert "No selection is called 'none'" in madetl(
            "annotate", "--adaptive", "--selection", "none", "--budget", 5, status=1
        ).stderr  # fmt: skip
        # but without a name another one is begun
        with serving(file, "--adaptive", "--budget", 5) as page:
            assert f"Selection {DEFAULT}: 0 of 5" in page.output

    def test_nothing_to_pick_from(self, db_file, madetl):
        madetl("init")
        assert "similarity" in madetl("annotate", "--adaptive", "--budget", 5, status=1).stderr
        with database.writing(db_file) as db:
            study = Study(db)
            instruction = study.instruction("i")
            select(db, [(study.response(instruction, "a", "x"), study.response(instruction, "b", "y"))])
        assert "Nothing has been measured yet" in madetl("annotate", "--adaptive", "--budget", 5, status=1).stderr


class TestTheWay:
    def test_skipping_gives_another_pair_and_leaves_one_for_the_end(self, file):
        with serving(file, "--adaptive", "--budget", 4, "--repeat", 0) as page:
            ann = enter(page.links["ann"])
            skipped = ann.fields()["item"], shown(ann)
            ann.post("/verdict", choice="skip")
            assert ann.fields()["item"] != skipped[0]
            assert progress(ann) == "0 of 4"
            ann = work(page.links["ann"])
            assert "You skipped 1 pair of answers that nobody else has judged meanwhile." in text(ann)
            assert "3 of 4 verdicts of the study are there." in text(ann)
            ann.post("/skipped")
            assert shown(ann) == skipped[1]
            ann.judge("tie")
            assert "All 4 verdicts of the study are there." in text(ann)
        assert rows(file, "SELECT count(*) FROM selections") == [(4,)]

    def test_what_one_skips_another_gets(self, file):
        with serving(file, "--adaptive", "--budget", 2, "--repeat", 0, annotators=PEOPLE[:2]) as page:
            ann = enter(page.links["ann"])
            for _ in range(2):
                ann.post("/verdict", choice="skip")
            work(page.links["bob"])
        assert len(verdicts(file)) == 2
        assert rows(file, "SELECT count(*) FROM selections") == [(2,)]

    def test_undo_brings_the_pair_back_and_picks_nothing(self, file):
        with serving(file, "--adaptive", "--budget", 3, "--repeat", 0) as page:
            ann = enter(page.links["ann"])
            first = ann.at.text.partition("<footer>")[0].partition("<main>")[2]
            ann.judge("first")
            after = shown(ann)
            before = rows(file, "SELECT id FROM selections")
            ann.post("/undo")
            assert ann.at.text.partition("<footer>")[0].partition("<main>")[2] == first
            assert progress(ann) == "0 of 3"
            assert rows(file, "SELECT id FROM selections") == before
            ann.judge("second")
            assert shown(ann) == after
            assert rows(file, "SELECT id FROM selections") == before
            done = work(page.links["ann"])
            assert "All 3 verdicts" in text(done)
            # also from the last page
            done.post("/undo")
            assert progress(done) == "2 of 3"
            done.judge("tie")
            assert "You have given 3 verdicts." in text(done)
        assert rows(file, "SELECT count(*) FROM selections") == [(3,)]

    def test_progress_from_the_start_to_the_end(self, file):
        with serving(file, "--adaptive", "--budget", 20, "--repeat", 0.1) as page:
            ann, seen = enter(page.links["ann"]), []
            while at_item(ann):
                seen.append(progress(ann))
                ann.judge("tie")
        assert seen == [f"{n} of 22" for n in range(22)]

    def test_progress_of_people_who_share(self, file):
        with serving(file, "--adaptive", "--budget", 10, "--repeat", 0, annotators=PEOPLE[:2]) as page:
            ann, bob = enter(page.links["ann"]), enter(page.links["bob"])
            assert progress(ann) == "0 of 10 together, 0 by you"
            for _ in range(4):
                ann.judge("tie")
            bob.judge("tie")
            assert progress(bob) == "5 of 10 together, 1 by you"
            ann = work(page.links["ann"])
            assert "9 of 10 verdicts of the study are there." in text(ann)
            assert "Somebody else may be looking at what is left." in text(ann)
            bob.judge("tie")
            assert "All 10 verdicts of the study are there." in text(bob)
            assert "Nothing is left for you to do." in text(bob)

    def test_an_assignment_left_open_too_long_goes_to_another_before_one_is_picked(self, file):
        with serving(file, "--adaptive", "--budget", 10, annotators=PEOPLE[:2]) as page:
            ann = enter(page.links["ann"])
            left = shown(ann)
            with database.writing(file) as db:
                db.execute("UPDATE assignments SET dealt_at = '2024-01-01T00:00:00.000000Z'")
            bob = enter(page.links["bob"])
            assert sorted(shown(bob)) == sorted(left)
            assert rows(file, "SELECT count(*) FROM selections") == [(1,)]
