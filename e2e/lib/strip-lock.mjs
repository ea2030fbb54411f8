//! Removes the addresses of packages' sponsors from the lock file, which is to hold no addresses. `npm run lock` runs it.

import { readFile, writeFile } from 'node:fs/promises';

const LOCK = new URL('../package-lock.json', import.meta.url);

const lock = JSON.parse(await readFile(LOCK, 'utf8'));
for (const entry of Object.values(lock.packages)) delete entry.funding;
await writeFile(LOCK, `${JSON.stringify(lock, null, 2)}\n`);
