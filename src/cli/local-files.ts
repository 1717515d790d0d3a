import { lstat, readdir } from 'node:fs/promises'
import { join } from 'node:path'
import { ignoreMissing } from '../segments/folders.ts'
import {
  closedName,
  localInstants,
  parseSegmentName,
  segmentStartMs,
  type SegmentName,
} from '../segments/segment-name.ts'
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

/** The segments in some folders, from the times in their names to when they were last written; the newest first. */
export async function localFiles(folders: string[]): Promise<LocalFile[]> {
  const found: LocalFile[] = []
  for (const folder of folders) {
    for (const entry of (await readdir(folder).catch(ignoreMissing)) ?? []) {
      const file = closedName(entry)
      const name = parseSegmentName(file)
      const path = join(folder, entry)
      const info = name && (await lstat(path).catch(ignoreMissing))
      if (!name || !info?.isFile()) continue
      const fromMs = beginningOf(name, info.mtimeMs)
      const toMs = Math.max(fromMs, info.mtimeMs)
      found.push({ camera: name.camera, file, path, bytes: info.size, fromMs, toMs })
    }
  }
  // Somebody may have touched a file: it is over when the next begins.
  const nextMs = new Map<string, number>()
  for (const one of found.sort((a, b) => b.fromMs - a.fromMs)) {
    one.toMs = Math.min(one.toMs, (nextMs.get(one.camera) ?? Infinity) + seamMs)
    nextMs.set(one.camera, one.fromMs)
  }
  return found
}

/** In the repeated hour of a DST change, the last time that leaves the file some length. */
function beginningOf(name: SegmentName, endMs: number): number {
  const instants = localInstants(name.date, name.time)
  return instants.findLast((at) => at <= endMs - leastMs) ?? segmentStartMs(name, 0)
}
