"""Why an application cannot be loaded: the usual causes, told apart and named.

Imported as ``_gowsgi_causes``, by host.py and only on the way out. Each function
returns a code of the catalogue (cmd/failure) and the words for one line.
"""

import difflib
import inspect
import os
import re
import sys
import sysconfig
import traceback
import types

IMPORT_RAISED = "GW030"
MODULE_ABSENT = "GW031"
DEPENDENCY_ABSENT = "GW032"
RELATIVE_IMPORT = "GW033"
SHARED_LIBRARY_ABSENT = "GW034"
EXTENSION_MISMATCH = "GW035"
DJANGO_SETTINGS = "GW036"
SYNTAX_INVALID = "GW037"
CIRCULAR_IMPORT = "GW038"
IMPORTED_NAME_ABSENT = "GW039"
NAME_ABSENT = "GW040"
NOT_CALLABLE = "GW041"
WRONG_ARGUMENTS = "GW042"
FACTORY_RAISED = "GW043"
FOLDER_UNREADABLE = "GW046"
IMPORT_EXITED = "GW048"

_MOST = 6  # names that are listed
_MOST_FOLDERS = 200  # that are looked into for a module in the wrong place


def absent_module(missing):
    """The application's own module, or a package above it, is not there."""
    folder = os.getcwd()
    text = f'no module named "{missing}" in {folder} or on sys.path'
    if not os.access(folder, os.R_OK | os.X_OK):
        return FOLDER_UNREADABLE, (
            f"{text}; user {os.getuid()}, who runs the application, "
            "cannot read that folder"
        )
    return MODULE_ABSENT, f"{text}; {_where_it_may_be(missing, folder)}"


def _where_it_may_be(missing, folder):
    parent, _, leaf = missing.rpartition(".")
    if parent:
        paths = list(getattr(sys.modules.get(parent), "__path__", []))
    else:
        paths = [folder] + [p for p in sys.path if p.startswith(folder + os.sep)]
    near = difflib.get_close_matches(leaf, sorted(_modules(paths)), 1)
    if near:
        name = f"{parent}.{near[0]}" if parent else near[0]
        return f'did you mean "{name}"?'
    if not parent:
        if os.path.basename(folder) == leaf and _is_module(folder, "__init__"):
            return f"that folder is the package: add --chdir {os.path.dirname(folder)}"
        for below in _folders_below(folder):
            if _is_module(below, leaf):
                return f"it is in {below}: add --chdir {below}"
    return "is --chdir or --pythonpath right?"


def _is_module(folder, name):
    return os.path.isfile(os.path.join(folder, name + ".py")) or os.path.isfile(
        os.path.join(folder, name, "__init__.py")
    )


def _modules(paths):
    """Name what could be imported from some folders."""
    names = set()
    for path in paths:
        try:
            entries = os.listdir(path)
        except OSError:
            continue
        for entry in entries:
            name, ending = os.path.splitext(entry)
            package = os.path.isfile(os.path.join(path, entry, "__init__.py"))
            if name.isidentifier() and (ending == ".py" or package and not ending):
                names.add(name)
    return names


def _folders_below(folder):
    """Give folders one and two levels down, but for those nobody means."""
    found = [folder]
    for above in found:
        depth = os.path.relpath(above, folder).count(os.sep)
        if len(found) > _MOST_FOLDERS or above != folder and depth > 0:
            break
        try:
            entries = sorted(os.scandir(above), key=lambda entry: entry.name)
        except OSError:
            continue
        for entry in entries:
            plain = entry.name[0] not in "._" and entry.name != "node_modules"
            if plain and entry.is_dir() and not _is_virtualenv(entry.path):
                found.append(entry.path)
    return found[1:]


def _is_virtualenv(folder):
    return os.path.isfile(os.path.join(folder, "pyvenv.cfg"))


def raised_import(name, error):
    """Importing the module ``name`` raised ``error``."""
    code, why = _cause_of(error)
    return code, f'cannot import "{name}": {why}'


def _cause_of(error):
    for link in _chain(error):  # packages wrap what their extensions raise
        told = _of_extension(link)
        if told:
            return told
    for judge in (_of_django, _of_import, _of_rest):
        told = judge(error)
        if told:
            return told
    return IMPORT_RAISED, _said(error)


def _said(error):
    """Give an exception in one line; a traceback beside it has the rest."""
    return f"{type(error).__name__}: {_first_line(str(error))}"


def _first_line(text):
    lines = text.strip().splitlines() or [""]
    return lines[0] + (" ..." if len(lines) > 1 else "")


def _chain(error):
    seen = set()
    while error is not None and id(error) not in seen:
        seen.add(id(error))
        yield error
        error = error.__cause__ or error.__context__


_LIBRARY = re.compile(r"(\S+): cannot open shared object file: No such file")
_OTHER_PYTHON = re.compile(
    r"undefined symbol: _?Py|compiled for Python|wrong ELF class|invalid ELF header"
    r"|was compiled using .* and is incompatible|[Pp]ython version mismatch"
)


def _of_extension(error):
    """A compiled part: its library is missing, or it is for another Python."""
    if not isinstance(error, (ImportError, OSError)):
        return None
    missing = _LIBRARY.search(str(error))
    if missing:
        who = f', which {getattr(error, "path", None) or "it"} needs,'
        name = getattr(error, "name", None)
        who = f', which the module "{name}" needs ({error.path}),' if name else who
        return SHARED_LIBRARY_ABSENT, (
            f"the shared library {missing.group(1)}{who} is not on this machine"
        )
    if _OTHER_PYTHON.search(str(error)):
        return EXTENSION_MISMATCH, f"{_said(error)}; this is Python {_version()}"
    module = _wanted(error)
    other = module and _extension_file(module)
    if other:
        return EXTENSION_MISMATCH, (
            f'the module "{module}" is there only as {other}, '
            f"and this is Python {_version()}"
        )
    return None


_NAME_OF = re.compile(r"cannot import name '([^']+)' from [^']*'([^']+)'")


def _wanted(error):
    """Name the module that was not found; "from . import _x" may mean one, too."""
    if isinstance(error, ModuleNotFoundError):
        return error.name
    names = _NAME_OF.match(str(error))
    return f"{names.group(2)}.{names.group(1)}" if names else None


def _version():
    return "%d.%d" % sys.version_info[:2]


def _extension_file(missing):
    """Find an extension module of that name that this Python does not take."""
    *parents, leaf = missing.split(".")
    own = sysconfig.get_config_var("EXT_SUFFIX")
    # a package that failed to import is forgotten again, and its __path__ with it
    for path in [os.path.join(path, *parents) for path in sys.path]:
        try:
            entries = os.listdir(path)
        except OSError:
            continue
        for entry in entries:
            ending = entry[len(leaf) :]
            if entry.startswith(leaf + ".cpython-") and ending not in (own, ".py"):
                return os.path.join(path, entry)
    return None


def _of_django(error):
    """Django's settings: not said, or said wrongly."""
    setting = os.environ.get("DJANGO_SETTINGS_MODULE")
    if isinstance(error, ModuleNotFoundError) and error.name and setting:
        if setting == error.name or setting.startswith(error.name + "."):
            return DJANGO_SETTINGS, (
                f"$DJANGO_SETTINGS_MODULE is {setting}, "
                f'and there is no module "{error.name}"'
            )
    kind, text = type(error).__name__, str(error)
    if kind == "AppRegistryNotReady":
        why = "Django's models are used before django.setup() has run"
    elif kind == "ImproperlyConfigured" and "settings" in text and not setting:
        why = "Django's settings are not configured: DJANGO_SETTINGS_MODULE is not set"
    else:
        return None
    hint = "".join(f'; did you mean "{name}"?' for name in _django_modules()[:1])
    return DJANGO_SETTINGS, why + hint


def _django_modules():
    """Name the modules wsgi of projects in the working folder."""
    folder = os.getcwd()
    try:
        entries = sorted(os.listdir(folder))
    except OSError:
        return []
    return [
        f"{entry}.wsgi"
        for entry in entries
        if os.path.isfile(os.path.join(folder, entry, "wsgi.py"))
    ]


_PARTIAL = re.compile(r"partially initialized module '([^']+)'")


def _of_import(error):
    """ImportError and its kin, by what Python says."""
    text = str(error)
    partial = _PARTIAL.search(text)
    if partial and isinstance(error, (ImportError, AttributeError)):
        return CIRCULAR_IMPORT, text + _hiding(partial.group(1), error)
    if not isinstance(error, ImportError):
        return None
    if "relative import" in text:
        return RELATIVE_IMPORT, text + _package_of(_last_file(error))
    if isinstance(error, ModuleNotFoundError):
        return DEPENDENCY_ABSENT, f"{text}; {_packages_used()}"
    names = _NAME_OF.match(text)
    if names:
        return IMPORTED_NAME_ABSENT, text + _hiding(names.group(2), error)
    return None


def _of_rest(error):
    if isinstance(error, SyntaxError):
        return SYNTAX_INVALID, f"{_said(error)}; this is Python {_version()}"
    if isinstance(error, SystemExit):
        return IMPORT_EXITED, _said(error)
    return None


def _files(error):
    return [f.f_code.co_filename for f, _ in traceback.walk_tb(error.__traceback__)]


def _last_file(error):
    """The file of the statement that raised, importlib's own left aside."""
    files = [f for f in _files(error) if not f.startswith("<")]
    return files[-1] if files else ""


def _hiding(name, error):
    """Say when the file of module ``name`` is in the place of another one."""
    path = os.path.join(os.getcwd(), name + ".py")
    if _last_file(error) == path:
        return f"; {path} imports itself: rename it if a package of that name is meant"
    installed = any(_is_module(p, name) for p in sys.path if p != os.getcwd())
    if installed and os.path.isfile(path):
        return f"; {path} hides another module of its name: rename it"
    return ""


def _package_of(file):
    """Say how a module would be named with the package around it."""
    folder, name = os.path.split(os.path.abspath(file))
    name = os.path.splitext(name)[0]
    parts = [] if name == "__init__" else [name]
    while True:
        above, package = os.path.split(folder)
        if not package.isidentifier():
            break
        parts.insert(0, package)
        folder = above
        if not os.path.isfile(os.path.join(folder, "__init__.py")):
            break
    if len(parts) < 2:
        return ""
    return f'; name it with its package: --chdir {folder} and "{".".join(parts)}"'


def _packages_used():
    """Say which Python and which packages were looked through."""
    if sys.prefix != sys.base_prefix:
        return f"Python {_version()} with the virtualenv {sys.prefix} was used"
    text = f"Python {_version()} of {sys.prefix} was used, without a virtualenv"
    folder = os.getcwd()
    try:
        entries = sorted(os.listdir(folder))
    except OSError:
        entries = []
    for entry in entries:
        library = os.path.join(folder, entry, "lib", f"python{_version()}")
        if _is_virtualenv(os.path.join(folder, entry)) and os.path.isdir(library):
            return f"{text}; there is one: VIRTUAL_ENV={os.path.join(folder, entry)}"
    return text


def absent_name(module, path):
    """``path``, a list of names, leads nowhere in ``module``."""
    found = module
    for depth, name in enumerate(path):
        if not hasattr(found, name):
            break
        found = getattr(found, name)
    owner = ".".join([module.__name__] + path[:depth])
    text = f'"{owner}" has no attribute "{name}"'
    if depth > 0:
        return NAME_ABSENT, text
    names = [n for n in vars(module) if not n.startswith("_")]
    near = difflib.get_close_matches(name, names, 1)
    likely = _likely(module)
    for usual in ("application", "app", "create_app", "make_app"):
        if not near and usual in names:
            near = [usual]
    near = near or likely[:1]
    if near:
        text += f'; did you mean "{module.__name__}:{_called(module, near[0])}"?'
    others = [n for n in likely if n not in near][:_MOST]
    if others:
        text += f" (it has {', '.join(others)}, too)"
    if not near and not others:
        text += f"; it has {_some(names)}"
    return NAME_ABSENT, text


def _some(names):
    if not names:
        return "no names at all"
    return ", ".join(names[:_MOST]) + (" ..." if len(names) > _MOST else "")


def _likely(module):
    """Name what could be an application, or make one: the module's own callables."""
    return [
        name
        for name, value in vars(module).items()
        if not name.startswith("_")
        and callable(value)
        and not isinstance(value, type)
        and (
            not isinstance(value, (types.FunctionType, types.BuiltinFunctionType))
            or value.__module__ == module.__name__
        )
    ]


def _called(module, name):
    """Write a factory as it has to be: with brackets."""
    value = getattr(module, name)
    factory = isinstance(value, types.FunctionType) and wrong_call(value, 2)
    return f"{name}()" if factory else name


def wrong_call(function, args, kwargs=None):
    """Say what is wrong with a call of a Python function; nothing if it fits.

    ``args`` are arguments, or how many there are. What is no plain function, or
    wraps one, takes whatever it takes.
    """
    if not isinstance(function, types.FunctionType):
        return ""
    if isinstance(args, int):
        args = [None] * args
    try:
        inspect.signature(function, follow_wrapped=False).bind(*args, **(kwargs or {}))
    except TypeError as error:
        return str(error)
    except ValueError:
        return ""  # it has no signature to look at
    return ""


def _shown(function):
    return f"{function.__name__}{inspect.signature(function, follow_wrapped=False)}"


def wrong_application(spec, function):
    """A function that cannot be called with environ and start_response, or None."""
    if not wrong_call(function, 2):
        return None
    text = f'"{spec}" takes no environ and start_response: it is {_shown(function)}'
    if not wrong_call(function, 0):
        text += f'; did you mean "{spec}()"?'
    return WRONG_ARGUMENTS, text


def raised_factory(spec, factory, call, error):
    """Calling the factory raised ``error``."""
    wrong = wrong_call(factory, *call)
    if wrong and isinstance(error, TypeError):
        return WRONG_ARGUMENTS, (
            f'"{spec}" raised TypeError: {wrong}; it is {_shown(factory)}'
        )
    code, why = _cause_of(error)
    if code in (SHARED_LIBRARY_ABSENT, EXTENSION_MISMATCH, DJANGO_SETTINGS):
        return code, f'"{spec}" failed: {why}'
    return FACTORY_RAISED, f'"{spec}" raised {_said(error)}'


def not_callable(spec, found):
    return NOT_CALLABLE, (
        f'"{spec}" is not callable: it is of type {type(found).__name__}'
    )
