#!/usr/bin/env python3
"""What is taken out before two builds are compared, and that nothing else is."""
import unittest

import differences
import json_leaves
import streams
import varying


def event(index, delta, finish="null", **more):
    members = "".join(f',"{name}":{value}' for name, value in more.items())
    return (f'data: {{"id":"chatcmpl-{"a" * 24}","created":{index},"choices":[{{"index":0,'
            f'"delta":{delta},"finish_reason":{finish}}}]{members}}}\n\n')


def stream(*events):
    return streams.settled("".join(events) + "data: [DONE]\n\n", varying.Settled())


class Leaves(unittest.TestCase):
    def test_values_stand_as_written(self):
        text = '{"a":1.50,"b":[{"c":"\\u00e9\\""},{}],"d":[], "e" : null}'
        self.assertEqual([(path, text[begin:end]) for path, begin, end in json_leaves.leaves(text)],
                         [("a", "1.50"), ("b.0.c", '"\\u00e9\\""'), ("b.1", "{}"), ("d", "[]"),
                          ("e", "null")])

    def test_no_json(self):
        for text in ("", "{", '{"a":1}x', "[1 2]", '{"a"}', "[1,]", "nul", '{"a":1,}'):
            with self.assertRaises(ValueError, msg=text):
                json_leaves.leaves(text)


class Streams(unittest.TestCase):
    def test_cuts_do_not_matter(self):
        first = event(1, '{"role":"assistant","content":null}')
        last = event(5, "{}", '"stop"', timings='{"prompt_n":3,"prompt_ms":0.5}')
        one = stream(first, event(2, '{"content":"a\\nb"}'), last)
        two = stream(first, event(3, '{"content":"a"}'), event(4, '{"content":"\\nb"}'), last)
        self.assertEqual(one, two)
        self.assertIn('choice 0 delta.content: a\\nb\n', one)
        self.assertIn('choice 0 finish_reason: "stop"', one)

    def test_what_differs(self):
        plain = stream(event(1, '{"content":"a"}'), event(1, '{"reasoning":"b"}'))
        for other in (stream(event(1, '{"content":"A"}'), event(1, '{"reasoning":"b"}')),
                      stream(event(1, '{"reasoning":"b"}'), event(1, '{"content":"a"}')),
                      stream(event(1, '{"content":"a"}'), event(1, '{"reasoning":"b"}'),
                             ": ping\n\n"),
                      stream(event(1, '{"content":"a"}'), event(1, '{"reasoning":"b"}', x="1")),
                      stream(event(1, '{"content":"a"}'), event(1, '{"reasoning":"b"}', "0"))):
            self.assertNotEqual(plain, other)

    def test_calls_are_told_apart(self):
        def call(index, arguments):
            function = f'{{"arguments":"{arguments}"}}'
            return f'{{"tool_calls":[{{"index":{index},"function":{function}}}]}}'

        parts = stream(event(1, call(0, "a")), event(1, call(0, "b")), event(1, call(1, "c")))
        self.assertEqual(parts, stream(event(1, call(0, "ab")), event(1, call(1, "c"))))
        self.assertNotEqual(parts, stream(event(1, call(0, "abc")), event(1, call(1, ""))))


class Varying(unittest.TestCase):
    def setUp(self):
        self.settle = varying.Settled(port=1234)

    def test_json_keeps_all_but_values(self):
        self.assertEqual(self.settle.json_text('{"uptime_s":1.5, "uptime":1.50}'),
                         '{"uptime_s":"<varies>", "uptime":1.50}')

    def test_tags(self):
        self.assertIn("7", self.settle.json_text('{"specdec_drafted":7}'))
        self.assertNotIn("7", varying.Settled(["adaptive"]).json_text('{"specdec_drafted":7}'))

    def test_log(self):
        line = ("2026-11-30T22:21:20.103 I request id=a client=127.0.0.1:57084 status=200 ms=60.8 "
                "tokens=3 queue_ms=2.2\n")
        self.assertEqual(self.settle.text(line + "loading: 3 % of 4\nx http://a:1234/v1"),
                         "<varies> I request id=a client=127.0.0.1:<varies> status=200 ms=<varies> "
                         "tokens=3 queue_ms=<varies>\nx http://a:<port>/v1")

    def test_drawn_names(self):
        one, two = "req_" + "a" * 24, "req_" + "b" * 24
        self.assertEqual(self.settle.text(f"{one} {two} {one}"), "req_<1> req_<2> req_<1>")
        self.assertEqual(self.settle.text("req_short"), "req_short")

    def test_metrics(self):
        text = "# HELP a_seconds A.\na_seconds_count 3\nmach_a_seconds_sum 3.5\nb{c=\"d\"} 4"
        self.assertEqual(self.settle.metrics_text(text), text.replace("3.5", "<varies>"))

    def test_near(self):
        streaming = varying.Settled(["streaming"])
        hundred, more, most = (streaming.metrics_text(f"mach_expert_hits_total {count}\nx 1")
                               for count in (100, 105, 120))
        self.assertTrue(varying.same(hundred, more))
        self.assertFalse(varying.same(hundred, most))
        self.assertFalse(varying.same(hundred, more.replace("x 1", "x 2")))


class Differences(unittest.TestCase):
    def names(self, old, new):
        return [name for name, _ in differences.compared([("a", old)], [("a", new)])]

    def test_names(self):
        same = {"exit": "0", "body": '{"a":1,"b":[2]}', "headers": "A: b\nC: d"}
        self.assertEqual(self.names(same, dict(same)), [])
        self.assertEqual(self.names(same, {**same, "body": '{"a":1,"b":[3]}'}), ["a: body/b.0"])
        self.assertEqual(self.names(same, {**same, "body": '{"a": 1,"b":[2]}'}), ["a: body"])
        self.assertEqual(self.names(same, {**same, "headers": "C: d\nA: b"}), ["a: headers"])
        self.assertEqual(self.names(same, {**same, "headers": "A: x\nC: d"}), ["a: headers/A"])
        self.assertEqual(self.names(same, {"exit": "1"}), ["a: exit", "a: body", "a: headers"])

    def test_long_lines_are_shown_where_they_differ(self):
        [(_, diff)] = differences.compared([("a", {"stdout": "x" * 900 + "1"})],
                                           [("a", {"stdout": "x" * 900 + "2"})])
        self.assertIn("x1\n", diff)
        self.assertIn("x2", diff)

    def test_results_of_one_alone(self):
        self.assertEqual([name for name, _ in differences.compared([("a", {})], [("b", {})])],
                         ["a: only in one", "b: only in one"])


if __name__ == "__main__":
    unittest.main()
