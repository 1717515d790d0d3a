import type { FileHandle } from 'node:fs/promises'
import { UnfamiliarMp4 } from '../mp4/boxes.ts'
import { FragmentReader, indexWindowBytes } from '../mp4/fragmented-mp4.ts'
import { spanOf, type FootageSpan } from '../segments/closed-segments.ts'
import { closedName, parseSegmentName } from '../segments/segment-name.ts'
import type { LeftOpen, OpenSegments, SegmentFacts } from './open-segments.ts'
import { factsByMtime } from './run-segments.ts'

/** Closes a segment that an earlier recorder has left behind, by what it holds and when it was last written to. */
export async function closeAbandoned(
  segments: OpenSegments,
  claimed: string,
): Promise<{ closed: LeftOpen; footage?: FootageSpan } | undefined> {
  const handle = await segments.read(claimed)
  if (!handle) return undefined
  try {
    const facts = await factsOf(handle, closedName(claimed))
    const closed = await segments.close(claimed, facts)
    if (!closed || !facts) return closed && { closed }
    return { closed, footage: spanOf(facts) }
  } finally {
    await handle.close()
  }
}

/** Undefined where it holds no footage that can be read as ours. */
async function factsOf(handle: FileHandle, name: string): Promise<SegmentFacts | undefined> {
  const camera = parseSegmentName(name)?.camera ?? ''
  let [frames, sounds, lastStamp] = [0, 0, 0]
  let firstStamp: number | undefined
  try {
    const reader = new FragmentReader(handle, { bytesAtOnce: indexWindowBytes })
    const { headers } = await reader.header()
    for (let next = await reader.next(); next; next = await reader.next())
      for (const { track, time, durations } of next.runs) {
        const header = headers[track - 1]
        if (header?.type === 'audio') sounds += durations.length
        if (header?.type !== 'video') continue
        frames += durations.length
        const untilLast = durations.slice(0, -1).reduce((sum, ticks) => sum + ticks, 0)
        firstStamp ??= time / header.ticksPerSecond
        lastStamp = (time + untilLast) / header.ticksPerSecond
      }
  } catch (error) {
    if (!(error instanceof UnfamiliarMp4)) throw error
  }
  if (firstStamp === undefined) return undefined
  const { mtimeMs } = await handle.stat()
  return factsByMtime({ camera, frames, sounds, firstStamp, lastStamp, mtimeMs })
}
