"""Tests of the judge: hand-made logs whose verdict is known, and random ones judged by brute force."""

import io
import json
import os
import random
import tempfile
import unittest

import judge

SECOND = 1_000_000
BASE = 1_700_000_000 * SECOND


def record(seq, at, **fields):
    """A finished call that arrived `at` seconds after the base and took 0.1 s."""
    arrival = BASE + round(at * SECOND)
    made = {
        "seq": seq, "key": "k", "arrival_us": arrival, "end_us": arrival + SECOND // 10, "status": 200,
        "prompt_tokens": 10, "max_tokens": 90, "planned_tokens": 20, "output_tokens": 20, "aborted": False,
    }
    made.update(fields)
    return made


def calls(instants, **fields):
    return [record(seq, at, **fields) for seq, at in enumerate(sorted(instants), 1)]


def run_judge(records, *flags, text=None):
    """Exit code and report of the command line on one log."""
    with tempfile.TemporaryDirectory() as folder:
        path = os.path.join(folder, "log.jsonl")
        with open(path, "w", encoding="utf-8") as log:
            log.write(text if text is not None else "".join(json.dumps(r) + "\n" for r in records))
        out = io.StringIO()
        code = judge.main(["--window", "6", *flags, path], out, io.StringIO())
        return code, json.loads(out.getvalue())


class Requests(unittest.TestCase):
    def check(self, code, records, *flags):
        got, report = run_judge(records, *flags)
        self.assertEqual(got, code, report)
        return report.get("keys", {}).get("k")

    def test_exactly_the_limit_in_a_window_is_kept(self):
        instants = [i * 0.5 for i in range(10)]
        key = self.check(0, calls(instants), "--limit", "rpm=10")
        self.assertEqual(key["requests"]["worst"], 10)

    def test_one_more_than_the_limit_fails(self):
        key = self.check(1, calls([i * 0.5 for i in range(11)]), "--limit", "rpm=10")
        self.assertEqual(key["requests"]["worst"], 11)

    def test_both_ends_of_a_window_count(self):
        self.check(1, calls([0, 6]), "--limit", "rpm=1")
        self.check(0, calls([0, 6.000001]), "--limit", "rpm=1")

    def test_two_bursts_around_a_boundary_fail(self):
        bursts = [5.9 + i / 1000 for i in range(10)] + [6.1 + i / 1000 for i in range(10)]
        key = self.check(1, calls(bursts), "--limit", "rpm=10")
        self.assertEqual(key["requests"]["worst"], 20)

    def test_any_429_fails_unless_allowed(self):
        log = calls([0, 1]) + [record(3, 2, status=429)]
        self.check(1, log, "--limit", "rpm=10")
        key = self.check(0, log, "--limit", "rpm=10", "--allow-429")
        self.assertEqual((key["requests"]["worst"], key["requests"]["worst_with_429"]), (2, 3))

    def test_failed_requests_count_and_unknown_keys_do_not(self):
        log = calls([0]) + [record(2, 1, status=500), record(3, 2, status=400), record(4, 3, status=401, key="x")]
        self.check(1, log, "--limit", "rpm=2")
        self.check(0, log, "--limit", "rpm=3")
        self.check(1, log, "--limit", "rpm=3", "--forbid-5xx")

    def test_keys_are_judged_apart_and_by_their_own_limits(self):
        log = [record(i + 1, i * 0.1, key="ab"[i % 2]) for i in range(20)]
        self.check(0, log, "--limit", "rpm=10")
        self.check(1, log, "--limit", "rpm=10", "--limit", "b:rpm=9")
        secret = judge.label("sk-a")
        log = calls([0, 1], key=secret)
        self.check(1, log, "--limit", "sk-a:rpm=1")

    def test_the_used_share_is_taken_after_one_window(self):
        log = calls([i * 0.6 for i in range(41)])
        key = self.check(0, log, "--limit", "rpm=11", "--min-used", "rpm=0.9")
        self.assertAlmostEqual(key["requests"]["used_share"], 31 / (11 * 18 / 6))
        self.check(1, log, "--limit", "rpm=20", "--min-used", "rpm=0.9")


class Tokens(unittest.TestCase):
    def worst(self, records, mode, *flags):
        code, report = run_judge(records, "--mode", mode, *flags)
        return code, report["keys"]["k"]["tokens"]

    def test_each_mode_counts_its_own_tokens(self):
        log = calls([0, 1], output_tokens=15)
        self.assertEqual(self.worst(log, "admission-max")[1]["worst"], 200)
        self.assertEqual(self.worst(log, "admission-actual")[1]["worst"], 60)
        self.assertEqual(self.worst(log, "end-actual")[1]["worst"], 50)

    def test_a_token_over_the_limit_fails(self):
        log = calls([0, 1])
        self.assertEqual(self.worst(log, "admission-max", "--limit", "tpm=200")[0], 0)
        self.assertEqual(self.worst(log, "admission-max", "--limit", "tpm=199")[0], 1)

    def test_the_end_decides_where_the_end_is_charged(self):
        # Arrivals 8 s apart, ends together.
        first = record(1, 0, end_us=BASE + 8_500_000)
        second = record(2, 8, end_us=BASE + 8_600_000)
        self.assertEqual(self.worst([first, second], "admission-actual", "--limit", "tpm=30")[0], 0)
        self.assertEqual(self.worst([first, second], "end-actual", "--limit", "tpm=30")[0], 1)

    def test_an_adversary_may_charge_at_any_instant(self):
        # By arrival and by end the windows hold one call each, yet both were in flight together.
        first = record(1, 0, end_us=BASE + 20 * SECOND)
        second = record(2, 13, end_us=BASE + 13_100_000)
        code, tokens = self.worst([first, second], "admission-actual", "--limit", "tpm=30")
        self.assertEqual((code, tokens["at_arrival"], tokens["at_end"], tokens["at_any_instant"]), (0, 30, 30, 60))
        flags = ("--limit", "tpm=30", "--any-instant")
        self.assertEqual(self.worst([first, second], "admission-actual", *flags)[0], 1)

    def test_refused_calls_bring_no_tokens_and_failed_ones_none_at_the_end(self):
        log = [record(1, 0, status=429), record(2, 1, status=500), record(3, 2)]
        self.assertEqual(self.worst(log, "admission-max", "--allow-429")[1]["worst"], 200)
        self.assertEqual(self.worst(log, "end-actual", "--allow-429")[1]["worst"], 30)

    def test_a_call_in_flight_counts_at_arrival_but_not_yet_at_its_end(self):
        log = [record(1, 0, end_us=None, status=0, output_tokens=0)]
        self.assertEqual(self.worst(log, "admission-max")[1]["worst"], 100)
        tokens = self.worst(log, "end-actual")[1]
        self.assertEqual((tokens["worst"], tokens["at_any_instant"]), (0, 30))


class VoidLogs(unittest.TestCase):
    def check(self, text):
        code, report = run_judge([], "--limit", "rpm=1", text=text)
        self.assertEqual(code, 2, report)

    def test_empty_and_unreadable_logs_are_void(self):
        self.check("")
        self.check("\n\n")
        self.check("no json\n")
        self.check("[1]\n")
        self.check('{"seq": 1}\n')

    def test_incomplete_logs_are_void(self):
        lines = [json.dumps(r) + "\n" for r in calls([0, 1, 2])]
        self.check(lines[0] + lines[2])
        self.check(lines[0] + lines[0])
        self.check(json.dumps(record(1, 0, end_us=BASE - 1)) + "\n")
        self.check(json.dumps(record(1, 5)) + "\n" + json.dumps(record(2, 1)) + "\n")

    def test_a_limit_on_a_key_that_never_called_is_void(self):
        self.assertEqual(run_judge(calls([0]), "--limit", "nobody:rpm=5")[0], 2)

    def test_a_log_of_unknown_keys_only_is_void(self):
        self.assertEqual(run_judge(calls([0], status=401), "--limit", "rpm=5")[0], 2)

    def test_an_interval_without_arrivals_is_void(self):
        self.assertEqual(run_judge(calls([0]), "--from-us", str(BASE + SECOND))[0], 2)


class BruteForce(unittest.TestCase):
    def test_windows_agree_with_every_possible_start(self):
        rng = random.Random(1)
        for _ in range(300):
            window = rng.randint(1, 12)
            charges = [(rng.randint(0, 40), rng.randint(0, 5)) for _ in range(rng.randint(0, 30))]
            expected = max(
                sum(amount for at, amount in charges if start <= at <= start + window)
                for start in range(-15, 45)
            )
            self.assertEqual(judge.worst_window(charges, window)[0], expected)

    def test_attributions_agree_with_every_possible_start(self):
        rng = random.Random(2)
        for _ in range(300):
            window, spans = rng.randint(1, 12), []
            for _ in range(rng.randint(0, 30)):
                first = rng.randint(0, 40)
                spans.append((first, first + rng.randint(0, 15), rng.randint(0, 5)))
            expected = max(
                sum(amount for first, last, amount in spans if first <= start + window and last >= start)
                for start in range(-15, 60)
            )
            self.assertEqual(judge.worst_attribution(spans, window)[0], expected)


def run():
    suite = unittest.defaultTestLoader.loadTestsFromModule(__import__(__name__))
    return 0 if unittest.TextTestRunner(verbosity=1).run(suite).wasSuccessful() else 1


if __name__ == "__main__":
    raise SystemExit(run())
