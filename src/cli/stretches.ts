import { earlierNames } from '../segments/segment-name.ts'
import type { LedgerLine } from '../uploader/ledger.ts'
import type { LocalFile } from './local-files.ts'
import type { Span } from './spans.ts'

/** A file of a camera's footage. */
export interface Stretch extends Span {
  camera: string
  file: string
  /** Where it lies on this machine, if it does. */
  path?: string
  /** Where it is in S3, if it is. */
  stored?: LedgerLine
}

/** Pure: what the ledger and the folders say together; a file of unknown length lasts at most `unknownMs`. */
export function stretchesOf(lines: LedgerLine[], local: LocalFile[], unknownMs: number): Stretch[] {
  const byName = new Map<string, LocalFile[]>()
  for (const one of local) for (const name of namesOf(one.file)) pushTo(byName, name, one)
  const taken = new Set<string>()
  const stored = newestOf(lines).map((line) => {
    const here = byName
      .get(line.file)
      ?.find(({ bytes, path }) => bytes === line.bytes && !taken.has(path))
    if (here) taken.add(here.path)
    return stretchOf(line, here)
  })
  const waiting = local.filter(({ path }) => !taken.has(path))
  return lastingUntilNext([...stored, ...waiting], unknownMs)
}

/** A line of the ledger, with the file on this machine if it is still there. */
export function stretchOf(line: LedgerLine, here?: LocalFile): Stretch {
  const fromMs = Date.parse(line.start)
  const toMs = line.durationSeconds > 0 ? fromMs + line.durationSeconds * 1000 : here?.toMs
  return {
    ...{ camera: line.camera, file: line.file, stored: line, fromMs, toMs: toMs ?? fromMs },
    ...(here ? { path: here.path } : {}),
  }
}

/** Of what another program has stored the length is not known. */
function lastingUntilNext(stretches: Stretch[], unknownMs: number): Stretch[] {
  const nextMs = new Map<string, number>()
  return stretches
    .sort((a, b) => b.fromMs - a.fromMs)
    .map((stretch) => {
      const { camera, fromMs, toMs } = stretch
      const next = nextMs.get(camera) ?? Infinity
      nextMs.set(camera, fromMs)
      const isKnown = !stretch.stored || toMs > fromMs
      return isKnown ? stretch : { ...stretch, toMs: Math.min(fromMs + unknownMs, next) }
    })
}

/** The names under which the ledger may know a file: its own, and without what a move has added. */
function namesOf(file: string): string[] {
  return [file, ...earlierNames(file)]
}

function pushTo<T>(lists: Map<string, T[]>, key: string, item: T): void {
  const list = lists.get(key)
  if (list) list.push(item)
  else lists.set(key, [item])
}

/** One content may have been stored twice: in another bucket, or under another name. */
function newestOf(lines: LedgerLine[]): LedgerLine[] {
  const newest = new Map<string, LedgerLine>()
  for (const line of lines)
    newest.set(`${line.camera} ${line.start} ${line.bytes} ${line.crc32}`, line)
  return [...newest.values()]
}
