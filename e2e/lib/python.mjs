//! Python clients, with the packages pinned in `e2e/requirements.txt`.

import { fileURLToPath } from 'node:url';

import { atEnd } from './cleanup.mjs';
import { Program, run } from './program.mjs';

/** The Python that has the packages. */
export const PYTHON = fileURLToPath(new URL('../.venv/bin/python', import.meta.url));

/** Unbuffered, so that output arrives when it is printed. */
const ENVIRONMENT = { PYTHONUNBUFFERED: '1' };

/** Runs the text of a Python `script` to its end and returns `{ code, stdout, stderr }`. */
export function runPython(script, args = [], { within } = {}) {
  return run(PYTHON, ['-c', script, ...args], { env: ENVIRONMENT, within });
}

/**
 * Starts the text of a Python `script`; the returned `Program` is stopped when `t` is over.
 *
 * @param {{ after: (fn: () => unknown) => void }} t a test's context, or the module `node:test`
 */
export function startPython(t, script, args = []) {
  const program = new Program(PYTHON, ['-c', script, ...args], { env: ENVIRONMENT });
  atEnd(t, () => program.stop());
  return program;
}
