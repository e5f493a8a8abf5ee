"""How inner functions are compiled: to LLVM's intermediate code, and no further.

numba makes a code library of every compiled function, links all that it calls into it, optimises the whole and turns it
into machine code.  In a kernel that is twenty calls deep the leaves are optimised and emitted once for every function
above them, which took two thirds of the compile time, and nobody ever calls that code: Python calls entry points only,
and these hold a copy of everything below them.

So an inner function's library stops before the optimiser.  Its functions are linked, as they are, into whatever calls
them, and the entry point's library optimises and emits everything once.  The machine code of an entry point comes out
as before, since LLVM's inliner works from the leaves up in any case; a first use with an empty cache takes 15 instead
of 25 seconds.

Three more habits of numba's are left out, a tenth of the time or more together (``Lowering``, ``_QuietArgs``,
``_Passes``).  None of them shows in the code that comes out.

Uses numba's documented way to change a compiler's passes (``pipeline_class``), and two methods of its code library that
are not documented.  With a numba that lacks them ``InnerCompiler`` is numba's own compiler: everything works, more
slowly.  ``tests/test_cache.py`` makes sure that this is not so with the numba that is locked.
"""

from numba.core import cgutils
from numba.core.codegen import JITCodeLibrary
from numba.core.compiler import Compiler, CompilerBase, DefaultPassBuilder
from numba.core.compiler_machinery import PassManager, register_pass
from numba.core.lowering import Lower
from numba.core.typed_passes import NativeLowering

_NEEDED = ("_optimize_final_module", "_finalize_final_module", "_finalize_dynamic_globals")


_environments = {}
"""Environments of inner functions that are not yet known to be in emitted code, by their symbol."""


class _EnvironmentLater:
    """A code generator that keeps a function's environment until code of that function has been emitted.

    The environment holds Python objects for compiled code; the kernel's exceptions, which carry numbers, need it.
    """

    def __init__(self, codegen):
        self._codegen = codegen

    def __getattr__(self, name):
        return getattr(self._codegen, name)

    def set_env(self, env_name, env):
        """Keep ``env`` for :class:`EntryLowering`."""
        _environments[env_name] = env


class InnerLibrary(JITCodeLibrary):
    """A code library that is linked into others and never run by itself."""

    @property
    def codegen(self):
        """The code generator, to which environments are given later."""
        return _EnvironmentLater(self._codegen)

    def _optimize_final_module(self):
        """Leave that to the entry point."""

    def _finalize_final_module(self):
        """Be ready to be linked; emit nothing."""
        self._finalize_dynamic_globals()
        self._finalized = True


class Lowering(Lower):
    """numba's lowering of one function; a variable's size is not asked for, which only a debugger wants to know."""

    def alloca_lltype(self, name, lltype, datamodel=None):
        """Make room for a variable on the stack."""
        return cgutils.alloca_once(self.builder, lltype, name=name, zfill=False)


@register_pass(mutates_CFG=True, analysis_only=False)
class InnerLowering(NativeLowering):
    """numba's lowering, into an ``InnerLibrary``."""

    lowering_class = Lowering

    _name = "mheaplab_inner_lowering"

    def run_pass(self, state):
        """Lower the function of ``state``."""
        state.library = InnerLibrary(state.targetctx.codegen(), state.func_id.func_qualname)
        return super().run_pass(state)


@register_pass(mutates_CFG=True, analysis_only=False)
class EntryLowering(NativeLowering):
    """numba's lowering of an entry point, whose emitted code holds that of inner functions."""

    lowering_class = Lowering
    _name = "mheaplab_entry_lowering"

    def run_pass(self, state):
        """Lower the function of ``state``, and hand out the environments of the inner functions in it."""
        done = super().run_pass(state)
        codegen = state.targetctx.codegen()
        emitted = {gv.name for gv in state.library._final_module.global_variables}
        for name in emitted & _environments.keys():
            codegen.set_env(name, _environments[name])
        return done


class _QuietArgs(tuple):
    """Types of arguments, not written out: numba does so before each pass, and those of our records fill pages."""

    __slots__ = ()

    def __str__(self):
        return f"({len(self)} arguments)"


class _Passes(PassManager):
    """Passes one after the other, without a look at the result of each, which finds only errors of numba's own."""

    _ENFORCING = False


def _passes(state, name, lowering):
    """Return numba's default passes, with ``lowering`` in the place of its own."""
    state.args = _QuietArgs(state.args)
    manager = _Passes(name)
    for step, why in DefaultPassBuilder.define_nopython_pipeline(state).passes:
        manager.add_pass(lowering if step is NativeLowering else step, why)
    manager.finalize()
    return [manager]


class _InnerCompiler(CompilerBase):
    def define_pipelines(self):
        return _passes(self.state, "mheaplab_inner", InnerLowering)


class _EntryCompiler(CompilerBase):
    def define_pipelines(self):
        return _passes(self.state, "mheaplab_entry", EntryLowering)


_supported = all(hasattr(JITCodeLibrary, name) for name in _NEEDED)
InnerCompiler = _InnerCompiler if _supported else Compiler
"""The compiler of inner functions."""
EntryCompiler = _EntryCompiler if _supported else Compiler
"""The compiler of entry points."""
