"""The layers of the package: imports only go down the list in docs/contributing/layers.md."""

import ast

from tests.documents import DOCS, ROOT, inline_code, section, tables


def places():
    """The place of each file and folder in the list."""
    [table] = tables(section(DOCS / "contributing/layers.md", "The list"))
    return {
        ROOT / "airflow_pixverse" / name: place
        for place, row in enumerate(table)
        for name in inline_code(row[0])
    }


def imported_modules(path):
    """The modules of the package that a file imports, those for type checks left out."""
    pending = [ast.parse(path.read_text())]
    while pending:
        match pending.pop():
            case ast.If(test=ast.Name("TYPE_CHECKING"), orelse=others):
                pending += others
            case ast.ImportFrom(module=str(module), names=names):
                yield from (f"{module}.{name.name}" for name in names)
            case ast.Import(names=names):
                yield from (name.name for name in names)
            case node:
                pending += ast.iter_child_nodes(node)


def file_of(module):
    """The file of a module, or of the module that a name is imported from; None for other packages."""
    path = ROOT.joinpath(*module.split("."))
    of_name = [path.parent.with_suffix(".py"), path.parent / "__init__.py"]
    candidates = [path.with_suffix(".py"), path / "__init__.py", *of_name]
    return next(
        (file for file in candidates if file.is_relative_to(ROOT / "airflow_pixverse") and file.exists()),
        None,
    )


def test_the_list_names_files_and_folders_that_exist():
    missing = [str(path) for path in places() if not path.exists()]
    assert missing == []


def test_imports_only_go_down_the_list():
    known = places()

    def place_of(file):
        return next((known[one] for one in [file, *file.parents] if one in known), None)

    upwards = []
    for path in (ROOT / "airflow_pixverse").rglob("*.py"):
        place = place_of(path)
        if place is None:
            assert path.name == "__init__.py", f"{path.relative_to(ROOT)} is not in the list"
            continue
        for module in imported_modules(path):
            imported = (file := file_of(module)) and place_of(file)
            if imported is not None and imported < place:
                upwards.append(f"{path.relative_to(ROOT)} imports {module}")
    assert upwards == []
