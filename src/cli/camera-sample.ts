import { open, readdir } from 'node:fs/promises'
import { join } from 'node:path'
import { FragmentReader, indexWindowBytes } from '../mp4/fragmented-mp4.ts'
import type { Camera } from '../recorder/config.ts'
import type { StreamInfo } from '../recorder/stream-info.ts'
import { closedName, parseSegmentName } from '../segments/segment-name.ts'

/** Longest wait for a second keyframe. */
export const watchSeconds = 7

/** The part of a camera's stream that has reached a file. */
export interface CameraSample {
  stream: StreamInfo
  fps: number
  bitsPerSecond: number
  keyframes: number
  /** The longest time without one, as far as it was watched. */
  keyframeEverySeconds: number
  seconds: number
  /** Samples of sound. */
  sounds: number
}

/** How a camera is recorded at this moment, if it is. */
export interface CurrentRecording {
  openFolder: string
  stream: StreamInfo
}

/** The file that our recorder writes at this moment, as it has it in memory for itself. */
export async function sampleOpenFile(
  camera: Camera,
  { openFolder, stream }: CurrentRecording,
): Promise<CameraSample | undefined> {
  const names = await readdir(openFolder).catch(() => [])
  const isOurs = (name: string): boolean =>
    parseSegmentName(closedName(name))?.camera === camera.name
  const newest = names.filter(isOurs).sort().at(-1)
  return newest === undefined ? undefined : sampleFile(join(openFolder, newest), stream)
}

/** The newest file of a folder, and what is in it. */
export async function sampleNewest(
  folder: string,
  stream: StreamInfo | undefined,
): Promise<(CameraSample & { file: string }) | undefined> {
  const file = (await readdir(folder)).sort().at(-1)
  const sample = file && stream ? await sampleFile(join(folder, file), stream) : undefined
  return sample && file ? { ...sample, file } : undefined
}

/** The last seconds of a file that is being written; undefined where there is not yet enough in it. */
async function sampleFile(path: string, stream: StreamInfo): Promise<CameraSample | undefined> {
  const file = await open(path, 'r')
  try {
    const reader = new FragmentReader(file, { bytesAtOnce: indexWindowBytes })
    const { headers } = await reader.header()
    let frames: { at: number; isKey: boolean }[] = []
    let parts: { at: number; bytes: number; sounds: number }[] = []
    for (let next = await reader.next(); next; next = await reader.next()) {
      const part = { at: 0, bytes: 0, sounds: 0 }
      for (const { track, time, durations, sizes, syncs } of next.runs) {
        const header = headers[track - 1]
        part.bytes += sizes.reduce((sum, bytes) => sum + bytes, 0)
        if (header?.type === 'audio') part.sounds += sizes.length
        if (header?.type !== 'video') continue
        let ticks = time
        for (const [n, duration] of durations.entries()) {
          frames.push({ at: ticks / header.ticksPerSecond, isKey: syncs[n] === true })
          ticks += duration
        }
      }
      part.at = frames.at(-1)?.at ?? 0
      parts.push(part)
      const from = part.at - 2 * watchSeconds
      if ((frames[0]?.at ?? 0) < from - watchSeconds) {
        frames = frames.filter(({ at }) => at >= from)
        parts = parts.filter(({ at }) => at >= from)
      }
    }
    return summed(frames, parts, stream)
  } catch {
    return undefined
  } finally {
    await file.close()
  }
}

function summed(
  frames: { at: number; isKey: boolean }[],
  parts: { bytes: number; sounds: number }[],
  stream: StreamInfo,
): CameraSample | undefined {
  const [begin, end] = [frames[0]?.at ?? 0, frames.at(-1)?.at ?? 0]
  const seconds = end - begin
  if (frames.length < 2 || seconds <= 0) return undefined
  const keys = frames.filter(({ isKey }) => isKey).map(({ at }) => at)
  const bytes = parts.reduce((sum, part) => sum + part.bytes, 0)
  return {
    ...{ stream, seconds, fps: (frames.length - 1) / seconds },
    ...{ bitsPerSecond: (8 * bytes) / seconds, keyframes: keys.length },
    keyframeEverySeconds: longestStep([begin, ...keys, end]),
    sounds: parts.reduce((sum, part) => sum + part.sounds, 0),
  }
}

function longestStep(times: number[]): number {
  return Math.max(...times.slice(1).map((time, index) => time - (times[index] ?? time)))
}
