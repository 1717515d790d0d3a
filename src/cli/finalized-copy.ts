import type { Stats } from 'node:fs'
import { open } from 'node:fs/promises'
import { isoLocal } from '../daemon/local-time.ts'
import { isFaststart } from '../mp4/boxes.ts'
import { readFragmentedMp4 } from '../mp4/fragmented-mp4.ts'
import type { ClosedSegment } from '../segments/closed-segments.ts'
import { finalize } from '../uploader/finalize.ts'
import type { MediaTools } from '../uploader/run-tool.ts'
import { encodeSound } from '../uploader/sound-encoder.ts'
import type { Stretch } from './stretches.ts'

/** A copy of a segment, and what the recorder has noted of the segment. */
export interface SegmentCopy {
  path: string
  known: ClosedSegment | undefined
}

interface Finalizing {
  tools: MediaTools
  /** Folder of the copy and of temporary files. */
  folder: string
}

/**
 * Makes of a copy what the uploader makes of the segment, unless it has: a file that plays, with the
 * times at which its frames were taken. Answers false if it holds no footage; an Error is for the operator.
 */
export async function finalizeCopy(
  { tools, folder }: Finalizing,
  { path, known }: SegmentCopy,
  signal: AbortSignal,
): Promise<boolean> {
  if (await isFaststart(path)) return true
  const deps = {
    folders: { tmp: folder, recordings: folder },
    ...{ tools, proof: 'crc32' as const },
    closed: { find: async () => known, append: async () => {} },
    sounds: { take: async (source: string) => encodeSound({ folder, tools }, source, signal) },
  }
  const finalized = await finalize(deps, path, signal)
  if (finalized.is !== 'playable') return false
  // Its own times may be hours off.
  if (finalized.asItIs !== undefined && known?.times)
    throw new Error(`${known.file} cannot be cut: ${finalized.asItIs}`)
  if (finalized.parts !== undefined)
    throw new Error(
      `${known?.file ?? path} changes its picture: try again when it is uploaded, in parts`,
    )
  return true
}

/** Error, in seconds, of the length that name and mtime give a file that is being written. */
const looseSeconds = 2

/**
 * What is known of a segment that is still being written: its last frame is of when it was last written
 * to, and it is as long as its time stamps say, unless they contradict its name. Undefined if it can't
 * be read as ours.
 */
export async function knownOfOpen(
  path: string,
  { camera, file, fromMs, toMs }: Stretch,
  { dev: device, ino: inode }: Stats,
): Promise<ClosedSegment | undefined> {
  const handle = await open(path, 'r')
  try {
    const movie = await readFragmentedMp4(handle)
    const video = movie?.tracks.find(({ header }) => header.type === 'video')
    if (!video) return undefined
    const { header, samples } = video
    const first = (samples.times[0] ?? 0) / header.ticksPerSecond
    const last = samples.lastTime / header.ticksPerSecond
    const byName = (toMs - fromMs) / 1000
    const isRight = Math.abs(byName - (last - first)) <= looseSeconds
    const end = isRight ? last - first : byName
    return {
      ...{ camera, file, device, inode, bytes: (await handle.stat()).size },
      ...{ start: isoLocal(toMs - end * 1000), durationSeconds: end },
      ...{ frames: samples.length, sounds: 0 },
      times: {
        by: 'stamp',
        picture: [
          [first, 0],
          [last, end],
        ],
        end,
      },
    }
  } finally {
    await handle.close()
  }
}
