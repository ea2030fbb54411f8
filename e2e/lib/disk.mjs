//! A disk that can be full: a file system of its own, in memory.

import { statfs, truncate, writeFile } from 'node:fs/promises';

import { atEnd, makeFolder } from './cleanup.mjs';
import { run } from './program.mjs';

/** Mounts a disk of so many bytes, if that is allowed, which takes root. It is gone when the test `t` is over. */
export async function makeDisk(t, bytes) {
  if (process.getuid() !== 0) return undefined;
  const folder = await makeFolder(t);
  const { code, stderr } = await run('mount', ['-t', 'tmpfs', '-o', `size=${bytes}`, 'tmpfs', folder]);
  if (code !== 0) throw new Error(`no disk: ${stderr}`);
  // A program that is still there would keep it.
  atEnd(t, () => run('umount', ['--lazy', folder]));
  return new Disk(folder);
}

class Disk {
  constructor(folder) {
    this.folder = folder;
  }

  get #filler() {
    return `${this.folder}/filler`;
  }

  /** Fills it but for so many bytes. */
  async fill(left) {
    const { bavail, bsize } = await statfs(this.folder);
    await writeFile(this.#filler, Buffer.alloc(Math.max(0, bavail * bsize - left)));
  }

  async makeRoom() {
    await truncate(this.#filler, 0);
  }
}
