//! The recipes in `docs/recipes`, whose blocks of code the tests run as they are written there.

import { readFile } from 'node:fs/promises';

/**
 * The text of a block of code in the recipe `name`: the first one after the heading `heading`, or the
 * one `index` blocks later.
 */
export async function codeBlock(name, heading, index = 0) {
  const text = await readFile(new URL(`../../docs/recipes/${name}.md`, import.meta.url), 'utf8');
  const [, section] = text.split(new RegExp(`^## ${RegExp.escape?.(heading) ?? heading}$`, 'm'));
  if (section === undefined) throw new Error(`docs/recipes/${name}.md has no heading "${heading}"`);
  const block = [...section.matchAll(/^```\w*\n(.*?)^```$/gms)][index];
  if (!block) throw new Error(`docs/recipes/${name}.md has no block ${index} beneath "${heading}"`);
  return block[1];
}

/** Replaces what stands in a recipe for the reader's own: each must be there. */
export function adapted(text, changes) {
  for (const [from, to] of Object.entries(changes)) {
    if (!text.includes(from)) throw new Error(`the recipe does not say ${JSON.stringify(from)}`);
    text = text.replaceAll(from, to);
  }
  return text;
}
