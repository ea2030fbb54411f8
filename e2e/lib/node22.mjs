//! Node 22, for packages that need it: the tests' own Node may be older.

import { createRequire } from 'node:module';

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
