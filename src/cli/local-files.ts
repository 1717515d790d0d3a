import { lstat, readdir } from 'node:fs/promises'
import { join } from 'node:path'
import { spanOf, type ClosedSegments } from '../segments/closed-segments.ts'
import { ignoreMissing } from '../segments/folders.ts'
import {
  closedName,
  localInstants,
  parseSegmentName,
  segmentStartMs,
  type SegmentName,
} from '../segments/segment-name.ts'
import { segmentDay } from '../uploader/ledger.ts'
import type { Span } from './spans.ts'

/** A file on this machine, which may be in S3 as well. */
export interface LocalFile extends Span {
  camera: string
  file: string
  path: string
  bytes: number
}

/** Names have whole seconds. */
const seamMs = 1000
const leastMs = 5000

/**
 * The segments in some folders, the newest first: with the times that the recorder noted when it closed
 * them, else from the time in the name to when the file was last written to. `uploaded` holds those
 * whose times the ledger knows.
 */
export async function localFiles(
  folders: { waiting: string[]; uploaded?: string },
  closed: ClosedSegments,
): Promise<LocalFile[]> {
  const found: LocalFile[] = []
  const closedFiles = new Set<LocalFile>()
  const { waiting, uploaded } = folders
  for (const folder of [...waiting, ...(uploaded === undefined ? [] : [uploaded])]) {
    const entries = (await readdir(folder).catch(ignoreMissing)) ?? []
    // By their days, so that what was noted of each is read once.
    for (const entry of entries.sort(byDay)) {
      const file = closedName(entry)
      const name = parseSegmentName(file)
      const path = join(folder, entry)
      const info = name && (await lstat(path).catch(ignoreMissing))
      if (!name || !info?.isFile()) continue
      const isWaiting = folder !== uploaded
      const line = isWaiting && (await closed.find(info, segmentDay(file, info.mtimeMs)))
      const { fromMs, toMs } = line ? spanOf(line) : spanByName(name, info.mtimeMs)
      const local = { camera: name.camera, file, path, bytes: info.size, fromMs, toMs }
      found.push(local)
      if (line) closedFiles.add(local)
    }
  }
  // Somebody may have touched a file: it is over when the next begins.
  const nextMs = new Map<string, number>()
  for (const one of found.sort((a, b) => b.fromMs - a.fromMs)) {
    if (!closedFiles.has(one))
      one.toMs = Math.min(one.toMs, (nextMs.get(one.camera) ?? Infinity) + seamMs)
    nextMs.set(one.camera, one.fromMs)
  }
  return found
}

function byDay(a: string, b: string): number {
  const [dayA = '', dayB = ''] = [a, b].map((entry) => parseSegmentName(closedName(entry))?.date)
  return dayA < dayB ? -1 : dayA > dayB ? 1 : 0
}

function spanByName(name: SegmentName, mtimeMs: number): Span {
  const fromMs = beginningOf(name, mtimeMs)
  return { fromMs, toMs: Math.max(fromMs, mtimeMs) }
}

/** In the repeated hour of a DST change, the last time that leaves the file some length. */
function beginningOf(name: SegmentName, endMs: number): number {
  const instants = localInstants(name.date, name.time)
  return instants.findLast((at) => at <= endMs - leastMs) ?? segmentStartMs(name, 0)
}
