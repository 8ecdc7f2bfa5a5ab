"""Reports of several runs become one that compares their arms."""

from dataclasses import dataclass, field
from typing import Any, ClassVar

from llamakit.artifacts.draft import Draft
from llamakit.artifacts.kinds import Report
from llamakit.errors import UsageError
from llamakit.stages.fields import Identity, Inputs
from llamakit.stages.stage import Outcome, Stage


@dataclass(frozen=True, kw_only=True)
class Study(Stage):
    """Compare the arms of an experiment over several runs.

    Each report is one run: `eval` measured every arm once, with a seed of its own. Every number of
    the reports is averaged over the runs, with Student's interval, and held against the first arm
    run by run.
    """

    reports: Inputs[Report]
    """Reports of eval, one a run, that measured the same parts."""
    arms: Identity[list[str]]
    """What is compared, the control first; a model belongs to the arm its name begins with."""
    title: Identity[str] = "Study"
    """Heading of the page."""
    charts: Identity[list[str]] = field(default_factory=list)
    """Measures to draw together at the page's top, each as PART.MEASURE+PART.MEASURE."""
    axis: Identity[str] = ""
    """What changes from arm to arm, where they are amounts of one thing: measures are then drawn as
    lines along it."""
    at: Identity[list[str]] = field(default_factory=list)
    """The amount of each arm, as the axis shows it."""

    makes: ClassVar = Report
    revision: ClassVar = 3
    panel: ClassVar = "Evaluation"

    def __post_init__(self) -> None:
        super().__post_init__()
        if len(self.arms) < 2 or len(set(self.arms)) < len(self.arms):
            raise UsageError(
                f"arms are {', '.join(self.arms) or 'none'}: two or more different ones are needed",
                where="study",
            )
        if bool(self.axis) != bool(self.at) or len(self.at) not in (0, len(self.arms)):
            raise UsageError(
                f"at has {len(self.at)} amounts for {len(self.arms)} arms along the axis "
                f"{self.axis!r}",
                where="study",
                fix="Give the axis and, for each arm in their order, its amount; or neither.",
            )

    def run(self, draft: Draft[Report]) -> Outcome:
        """Read the reports, average, draw."""
        import json

        from llamakit.artifacts.frames import write_table
        from llamakit.errors import InputError
        from llamakit.evaluation.study import RUNS, compared, models_of, numbers, runs_table
        from llamakit.evaluation.study_charts import Axis, chosen, drawings
        from llamakit.evaluation.study_page import markdown, study_page

        reports: list[dict[str, Any]] = []
        versions = draft.inputs(self.reports)
        with draft.events.task("reports", total=len(versions), unit="reports") as task:
            for version in versions:
                report = json.loads((version.path / "report.json").read_text(encoding="utf-8"))
                if "parts" not in report or "models" not in report:
                    raise InputError("this report is none that eval made", where=version.reference)
                reports.append(report)
                task.advance()
        found = numbers(reports, self.arms)
        if not found:
            raise InputError("the reports have no number that every arm has", where="study")
        results = compared(found, self.arms)
        axis = Axis(self.axis, self.at) if self.axis else None
        drawn = [
            *chosen(self.arms, results, self.charts, axis),
            *drawings(self.arms, results, axis),
        ]
        # The models of an arm have one shape in all runs.
        sizes = {arm: reports[0]["sizes"][n] for arm, n in models_of(reports[0], self.arms).items()}
        with draft.writing("report.json") as path:
            content = {
                "arms": self.arms,
                "runs": len(reports),
                "sizes": sizes,
                "results": [one.to_json() for one in results],
            }
            path.write_text(json.dumps(content, indent=1, allow_nan=False) + "\n", encoding="utf-8")
        with draft.writing("report.html") as path:
            page = study_page(self.title, self.arms, len(reports), sizes, results, drawn)
            path.write_text(page.html(), encoding="utf-8")
        for drawing in drawn:
            with draft.writing(f"plots/{drawing.name}.svg") as path:
                path.write_text(drawing.svg + "\n", encoding="utf-8")
        with draft.writing("table.md") as path:
            path.write_text(markdown(self.arms, sizes, results), encoding="utf-8")
        write_table(draft.path / "samples.parquet", runs_table(found), RUNS)
        first = next(one for one in results if one.kind == "main")
        shown = ", ".join(f"{arm} {first.arms[arm].value:.3f}" for arm in self.arms)
        return Outcome(
            counts={"arms": len(self.arms), "runs": len(reports), "numbers": len(results)},
            metrics={f"{first.part}.{arm}": first.arms[arm].value for arm in self.arms},
            headline=f"{first.part}: {shown}",
        )
