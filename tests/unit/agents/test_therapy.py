"""The extension block: what it says arrives in the model, and what cannot be is refused by place."""

from __future__ import annotations

import pytest

from atmpsim.agents.extension import Extension
from atmpsim.errors import ModelError

OPEN = '<atmpsim:extension xmlns:atmpsim="urn:atmpsim:agents:1">'
INFECTION = """<atmpsim:infection cell_type="tumour" substrate="virus" becomes="infected tumour">
<atmpsim:probability>0.05</atmpsim:probability>
<atmpsim:inhibitor substrate="oxygen"><atmpsim:half>2</atmpsim:half></atmpsim:inhibitor></atmpsim:infection>"""
CLOCK = """<atmpsim:clock cell_type="infected tumour"><atmpsim:stages>4</atmpsim:stages>
<atmpsim:mean units="min">3600</atmpsim:mean></atmpsim:clock>"""
BURST = """<atmpsim:burst cell_type="infected tumour" substrate="virus" size="poisson">
<atmpsim:amount>2000</atmpsim:amount></atmpsim:burst>"""
REPLICATION = """<atmpsim:replication cell_type="infected tumour" substrate="virus" law="exponential">
<atmpsim:rate units="1/min">0.0081</atmpsim:rate><atmpsim:capacity>6600</atmpsim:capacity></atmpsim:replication>"""
ARRIVAL = """<atmpsim:arrival cell_type="T cell" source="tumour" exact="true">
<atmpsim:first units="min">60</atmpsim:first><atmpsim:every units="min">10080</atmpsim:every>
<atmpsim:count>3</atmpsim:count><atmpsim:number>2</atmpsim:number><atmpsim:age units="min">144</atmpsim:age>
</atmpsim:arrival>"""
RECRUITMENT = """<atmpsim:recruitment cell_type="T cell" source="tumour" substrate="virus">
<atmpsim:base_rate units="1/min">1e-5</atmpsim:base_rate><atmpsim:max_rate units="1/min">1e-3</atmpsim:max_rate>
<atmpsim:half_max>2</atmpsim:half_max><atmpsim:limit>50</atmpsim:limit></atmpsim:recruitment>"""


def with_block(*parts, opening=OPEN):
    return ("<user_parameters/>", f"{opening}{''.join(parts)}</atmpsim:extension><user_parameters/>")


def test_a_plain_model_has_an_empty_extension(sample):
    assert sample().extension.empty
    assert sample(with_block()).extension == Extension()


def test_everything_is_read(sample):
    extension = sample(with_block(INFECTION, CLOCK, BURST, REPLICATION, ARRIVAL, RECRUITMENT)).extension
    (infection,), (clock,), (burst,) = extension.infections, extension.clocks, extension.bursts
    (replication,), (arrival,), (recruitment,) = extension.replications, extension.arrivals, extension.recruitments
    assert (infection.cell_type, infection.substrate, infection.becomes, infection.probability) == (0, 1, 1, 0.05)
    assert (infection.inhibitor, infection.inhibitor_half) == (0, 2)
    assert (clock.cell_type, clock.stages, clock.mean, clock.becomes) == (1, 4, 3600, -1)
    assert (burst.amount, burst.size) == (2000, "poisson")
    assert (replication.law, replication.rate, replication.capacity) == ("exponential", 0.0081, 6600)
    assert arrival.times == (60, 10140, 20220)
    assert (arrival.number, arrival.source, arrival.age, arrival.exact) == (2, 0, 144, True)
    assert (recruitment.source, recruitment.substrate, recruitment.limit) == (0, 1, 50)
    assert (recruitment.base_rate, recruitment.max_rate, recruitment.half_max, recruitment.hill_power) == (
        1e-5,
        1e-3,
        2,
        1,
    )
    assert not extension.empty


MISTAKES = {
    "unknown block": (("<atmpsim:infektion/>",), "Did you mean 'atmpsim:infection'"),
    "unknown type": ((INFECTION.replace('"tumour"', '"tumor"'),), "cell type 'tumor'"),
    "unknown substrate": ((BURST.replace('"virus"', '"virs"'), CLOCK), "substrate 'virs'"),
    "no number": ((CLOCK.replace("<atmpsim:stages>4</atmpsim:stages>", ""),), "no <atmpsim:stages>"),
    "other units": ((CLOCK.replace('units="min"', 'units="h"'),), "the units 'h', expected min"),
    "probability": ((INFECTION.replace("0.05", "1.5"), CLOCK), "from 0 to 1"),
    "burst of nothing": ((BURST,), "a type whose clock ends in lysis"),
    "two clocks": ((CLOCK, CLOCK), "a second clock of 'infected tumour'"),
    "two infections": ((INFECTION, INFECTION), "one for each virus"),
    "infection into itself": ((INFECTION.replace("infected tumour", "tumour"),), "into another type"),
    "size": ((BURST.replace("poisson", "normal"), CLOCK), "size='normal'"),
    "law": ((REPLICATION.replace("exponential", "cubic"),), "law='cubic'"),
    "schedule": ((ARRIVAL.replace('<atmpsim:every units="min">10080</atmpsim:every>', ""),), "no <atmpsim:every>"),
    "fewer than none": ((ARRIVAL.replace("<atmpsim:number>2", "<atmpsim:number>-2"),), "at least 0"),
}  # fmt: skip


@pytest.mark.parametrize(("parts", "said"), MISTAKES.values(), ids=MISTAKES)
def test_mistakes(sample, parts, said):
    with pytest.raises(ModelError) as caught:
        sample(with_block(*parts))
    assert said in str(caught.value)
    assert "model.xml line" in str(caught.value)


def test_infection_needs_internalised_amounts(sample):
    tracking = "<track_internalized_substrates_in_each_agent>true</track_internalized_substrates_in_each_agent>"
    with pytest.raises(ModelError, match="without internalised amounts"):
        sample((tracking, ""), with_block(INFECTION))


def test_another_namespace_is_not_ours(sample):
    with pytest.raises(ModelError, match="in <PhysiCell_settings>: found <urn:else extension>"):
        sample(with_block(opening=OPEN.replace("urn:atmpsim:agents:1", "urn:else")))
