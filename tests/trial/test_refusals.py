"""What a trial refuses, each with a message of its own: where, what was found, what is expected, what to do."""

from __future__ import annotations

import pytest

from atmpsim.errors import InputError
from atmpsim.scenario.reader import load_inputs
from atmpsim.scenario.table import expand_runs
from atmpsim.study.trial import pool_of

RULE = '\n[[rule]]\nname = "r"\nwhen = "{}"\nthen = "stop"\n'
VIRUS = ('into = "given_cells"\namount = "1e6 cell"', 'into = "blood_virus"\namount = "1e9 PFU"')
PRODUCT = '\n[product]\nkind = "{}"\n'

CASES = {
    "vp-added-to-PFU": (
        (VIRUS,),
        PRODUCT.format("oncolytic_virus"),
        "PFU into a state of vp, without a conversion",
        "a declared conversion",
        "conversion =",
    ),
    "vp-added-to-PFU-without-a-product": ((VIRUS,), "", "PFU", "a quantity in vp", "never convert into one another"),
    "vg-into-cells": (
        (('"1e6 cell"', '"1e13 vg"'),),
        PRODUCT.format("aav"),
        "vg of a product of kind 'aav' into a state of cell",
        "vg or vp",
        "give another state",
    ),
    "cells-of-a-virus": (
        (),
        PRODUCT.format("oncolytic_virus"),
        "cell of a product of kind 'oncolytic_virus'",
        "vp or PFU",
        "is counted in",
    ),
    "key-of-another-kind": (
        (),
        PRODUCT.format("msc") + 'empty_capsids = "0.3"\n',
        "'empty_capsids' of a product of kind",
        "one of",
        "another kind of product",
    ),
    "share-above-one": (
        (),
        PRODUCT.format("msc") + 'viability = "1.2"\n',
        "values from 1.2",
        "a share of 0 to 1",
        "logit",
    ),
    "titre-in-cells": ((), PRODUCT.format("aav") + 'titre = "1e6 cell/mL"\n', "'1e6 cell/mL'", "vg/mL", ""),
    "rule-on-unknown-state": ((), RULE.format("lesoin >= 1.2"), "a rule on 'lesoin'", "an assay: one of", "'lesion'?"),
    "rule-on-unmeasured-state": (
        (),
        RULE.format("blood_virus >= 1.2"),
        "a rule on 'blood_virus', which nothing measures",
        "an assay",
        "add an [[assay]]",
    ),
    "rule-on-an-event": (
        (),
        RULE.format("death >= 1"),
        "a rule on 'death' of kind 'event'",
        "reads the model at a visit",
        "kind 'scale'",
    ),
    "rule-on-a-diary": (
        (),
        '\n[[assay]]\nname = "d"\nkind = "diary"\nof = "score"\nper = "28 d"\ndispersion = 1.0\n'
        + RULE.format("d >= 1"),
        "a rule on 'd' of kind 'diary'",
        "at a visit",
        "output behind it",
    ),
    "rule-without-limit": ((), RULE.format("lesion is large"), "'lesion is large'", "ASSAY >= 1000", ""),
    "endpoint-on-lacking-state": (
        (('of = "survival"', 'of = "survivall"'),),
        "",
        "'survivall', which model 'plain' lacks",
        "a quantity of the model",
        "'survival'?",
    ),
    "endpoint-without-assay": ((('assay = "death"', 'assay = "deth"'),), "", "'deth'", "an assay: one of", "'death'?"),
    "arms-of-different-length": (
        (
            (
                'name = "cells"\n\n[[assay]]\nname = "score"',
                'name = "cells"\nset = { "time.end" = "50 d" }\n\n[[assay]]\nname = "score"',
            ),
        ),
        "",
        "arms of different length",
        "parameters.…",
        "same in every arm",
    ),
    "ratio-does-not-sum": (
        (("visits =", "ratio = { control = 0.5, cells = 0.4 }\nvisits ="),),
        "",
        "shares that sum to 0.9",
        "shares of 1",
        "0.5 and 0.5",
    ),
    "ratio-of-too-few": (
        (("visits =", "ratio = { control = 1 }\nvisits ="),),
        "",
        "nothing for 'cells'",
        "for each arm",
        "",
    ),
    "ratio-of-unknown-arm": (
        (("visits =", "ratio = { control = 1, cels = 1 }\nvisits ="),),
        "",
        "'cels'",
        "an arm",
        "'cells'?",
    ),
    "block-does-not-fit": (
        (("visits =", "ratio = { control = 1, cells = 2 }\nblock = 4\nvisits ="),),
        "",
        "a block of 4",
        "a multiple of 3",
        "",
    ),
    "test-of-another-kind": ((('compare = "t"', 'compare = "fisher"'),), "", "'fisher' of a 'value'", "one of", ""),
    "counts-of-what-is-no-count": (
        (('compare = "t"', 'compare = "negative_binomial"'),),
        "",
        "'negative_binomial' of an assay of kind 'scale'",
        "lesion_count",
        "rate_ratio",
    ),
    "neuroblastoma-criteria": (
        (),
        '\n[[endpoint]]\nname = "inrc"\nkind = "response"\nassay = "lesion"\ncriteria = "INRC"\n',
        "'INRC'",
        "'RECIST 1.1'",
        "bone marrow",
    ),
    "glioma-criteria": (
        (),
        '\n[[endpoint]]\nname = "rapno"\nkind = "response"\nassay = "lesion"\ncriteria = "RAPNO"\n',
        "'RAPNO'",
        "'RECIST 1.1'",
        "T2/FLAIR",
    ),
    "response-of-a-score": (
        (),
        '\n[[endpoint]]\nname = "x"\nkind = "response"\nassay = "score"\n',
        "'response' of an assay of kind 'scale'",
        "diameter",
        "",
    ),
    "assay-key": (
        (("error = 1.0", "error = 1.0\npartitions = 5"),),
        "",
        "'partitions' of an assay of kind 'scale'",
        "one of",
        "",
    ),
    "assay-lacks-key": (
        (),
        '\n[[assay]]\nname = "q"\nkind = "qpcr"\nof = "level"\n',
        "no 'leucocytes'",
        "the key",
        "Add",
    ),
    "edss-elsewhere": (
        (),
        '\n[[assay]]\nname = "e"\nkind = "edss"\nof = "score"\n',
        "a model without 'baseline_edss'",
        "half steps of EDSS",
        "msc_multiple_sclerosis",
    ),
    "pool-too-small": ((("size = 400", "size = 30"),), "", "30", "at least 40", "twice"),
    "no-population": ((("[population]\nsize = 400\n", ""),), "", "no [trial.population]", "to recruit from", "size"),
    "visit-after-the-end": ((('"90 d"]', '"120 d"]'),), "", "100 d", "at least 120", "Move the end"),
    "visits-fall": ((('"30 d", "60 d"', '"60 d", "30 d"'),), "", "60 d", "times that increase", ""),
    "no-visit-then": (
        (('kind = "value"', 'kind = "value"\nat = "45 d"'),),
        "",
        "'45 d', when there is no visit",
        "30 d",
        "",
    ),
    "looks-fall": ((("visits =", "looks = [0.7, 0.5]\nvisits ="),), "", "[0.7, 0.5]", "shares that increase", ""),
    "no-endpoint": (
        (
            (
                '[[endpoint]]\nname = "score at the end"\nkind = "value"\nassay = "score"\ncompare = "t"\n'
                "primary = true\n",
                "",
            ),
            ('[[endpoint]]\nname = "survival"\nkind = "time_to"\nassay = "death"\n', ""),
        ),
        "",
        "no [[endpoint]]",
        "at least one",
        "",
    ),
    "free-is-not-given": ((("visits =", 'free = ["efect"]\nvisits ='),), "", "'efect'", "a key of [parameters]", ""),
    "slash-in-a-name": ((('name = "survival"', 'name = "a/b"'),), "", "a name with '/'", "another name", ""),
}


@pytest.mark.parametrize("case", [k for k, v in CASES.items() if v[2] is not None])
def test_it_is_refused(case, edited):
    changes, add, found, expected, remedy = CASES[case]
    with pytest.raises(InputError) as caught:
        pool_of(load_inputs(edited(*changes, add=add)))
    error = caught.value
    print(error)
    assert error.where.startswith("plain.toml")
    assert found in error.found
    assert expected in error.expected
    assert remedy in error.remedy


def test_every_refusal_has_its_own_message(edited):
    said = set()
    wanted = [k for k, v in CASES.items() if v[2] is not None]
    for case in wanted:
        changes, add, *_ = CASES[case]
        with pytest.raises(InputError) as caught:
            pool_of(load_inputs(edited(*changes, add=add)))
        said.add(str(caught.value))
    assert len(said) == len(wanted)


def test_a_model_with_its_own_viability_refuses_another():
    inputs = load_inputs("celyvir-trial", overrides={"product.viability": "0.9"})
    with pytest.raises(InputError, match="a model that has its own 'viability'"):
        expand_runs(inputs)


def test_a_declared_conversion_is_taken_and_noted(edited):
    path = edited(VIRUS, add=PRODUCT.format("oncolytic_virus") + 'conversion = "lognormal(ln(20), 0.3) vp/PFU"\n')
    table = expand_runs(load_inputs(path, overrides={"population.size": 40}))
    dose = next(r for r in table.runs if r.schedule.log).schedule.log[0]
    assert dose.amount == pytest.approx(2e10)
    assert any("typical conversion" in note for note in table.notes)
    _, _, given = pool_of(load_inputs(path))
    assert given.delivered.std() > 0.2  # and the pool's patients differ by it


AAV = ('into = "given_cells"\namount = "1e6 cell"', 'into = "genomes"\namount = "{}"')


@pytest.mark.parametrize(
    ("amount", "more", "genomes"),
    [("2e13 vg", "", 2e13), ("5 mL", 'titre = "4e12 vg/mL"\n', 2e13), ("2e13 vp", 'empty_capsids = "0.3"\n', 1.4e13),
     ("5 mL", 'titre = "4e12 vp/mL"\nempty_capsids = "0.3"\n', 1.4e13)],
)  # fmt: skip
def test_a_vector_by_genomes_volume_or_capsids(edited, amount, more, genomes):
    path = edited((AAV[0], AAV[1].format(amount)), add=PRODUCT.format("aav") + more)
    table = expand_runs(load_inputs(path, overrides={"population.size": 40}))
    dose = next(r for r in table.runs if r.schedule.log).schedule.log[0]
    assert dose.amount * dose.bioavailability == pytest.approx(genomes)


def test_capsids_without_a_known_share_are_no_genomes(edited):
    path = edited((AAV[0], AAV[1].format("2e13 vp")), add=PRODUCT.format("aav"))
    with pytest.raises(InputError, match="vp into a state of vg, without a conversion"):
        expand_runs(load_inputs(path))


def test_a_rescue_is_given_by_rules_only(edited):
    rescue = '\n[[dose]]\nname = "rescue"\nrole = "rescue"\ninto = "given_cells"\namount = "1e6 cell"\n'
    table = expand_runs(load_inputs(edited(add=rescue)))
    assert [len(r.schedule.log) for r in table.runs] == [0, 1]


@pytest.mark.parametrize("section", ["rule", "endpoint"])
def test_run_refuses_what_only_a_trial_does(section, edited):
    text = edited(add=RULE.format("lesion > 1")).read_text(encoding="utf-8")
    kept = text[: text.index("[[endpoint]]")] + (RULE.format("lesion > 1") if section == "rule" else
           '[[endpoint]]\nname = "e"\nkind = "value"\nassay = "score"\n')  # fmt: skip
    path = edited()
    path.write_text(kept, encoding="utf-8")
    with pytest.raises(InputError, match=f"a {section} without .trial.*Add .trial."):
        expand_runs(load_inputs(path))


def test_run_says_that_rules_do_not_act(edited):
    table = expand_runs(load_inputs(edited(add=RULE.format("lesion > 1"))))
    assert any("rules act in `atmpsim trial`" in note for note in table.notes)
