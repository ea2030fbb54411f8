//! Node 22, for packages that need it: the tests' own Node may be older.

import { createRequire } from 'node:module';
import path from 'node:path';

import { atEnd } from './cleanup.mjs';
import { Program } from './program.mjs';
import { NODE_MODULES } from './static.mjs';

/** The first major version that is new enough. */
const MAJOR = 22;

/**
 * The path of a Node that is new enough: our own, or the one that npm brings as a package for Linux.
 *
 * @throws on other systems, if our own is older
 */
export function node22() {
  if (Number(process.versions.node.split('.')[0]) >= MAJOR) return process.execPath;
  const { platform, arch } = process;
  return createRequire(import.meta.url).resolve(`node-${platform}-${arch}/bin/node`);
}

/**
 * Starts the text of a module that uses packages of npm; the returned `Program` is stopped when `t` is over.
 *
 * @param {{ after: (fn: () => unknown) => void }} t a test's context, or the module `node:test`
 */
export function startModule(t, text, args) {
  const program = new Program(node22(), ['--input-type=module', '-e', text, ...args], { cwd: path.dirname(NODE_MODULES) });
  atEnd(t, () => program.stop());
  return program;
}
