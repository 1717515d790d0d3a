import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'

/** All lines of a journal's folder, in the order of its days, but one that is being written. */
export function journalLines<Line>(folder: string): Line[] {
  return readdirSync(folder)
    .sort()
    .flatMap((name) => readFileSync(join(folder, name), 'utf8').split('\n').slice(0, -1))
    .map((line) => JSON.parse(line) as Line)
}
