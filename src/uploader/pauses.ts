import { open } from 'node:fs/promises'
import { isPause } from '../segments/gaps.ts'
import { boxesIn, known, need, readBoxes, UnfamiliarMp4, type BoxContent } from '../mp4/boxes.ts'

/** A time in a file, behind a frame, of which footage is missing. */
export interface Pause {
  /** From the beginning of the file. */
  atSeconds: number
  seconds: number
}

/** More than a day of video. */
const mostFrames = 16_000_000
/** Of so many, with a keyframe each second. */
const mostIndexBytes = 64 * 1024 * 1024
/** On each side. */
const neighbours = 4

/**
 * Where the video of a finalized file pauses, by its own index: a camera that was cut off for less
 * than STALL_SECONDS leaves no other trace. None where the index is not one of ours or FFmpeg's.
 */
export async function pausesIn(path: string): Promise<Pause[]> {
  try {
    const { ticksPerSecond, durations, offsets } = videoTimes(await readIndex(path))
    // Most files have none; of those, this is all.
    if (!runsOf(durations).some(({ number }) => isPause(number / ticksPerSecond, 0))) return []
    const steps = expand(durations).map((ticks) => ticks / ticksPerSecond)
    return pausesOf(shownAt(steps, offsets ? expand(offsets) : [], ticksPerSecond))
  } catch (error) {
    if (error instanceof UnfamiliarMp4) return []
    throw error
  }
}

async function readIndex(path: string): Promise<Buffer> {
  const boxes = await readBoxes(path, 8)
  const index = boxes.findIndex(({ type }) => type === 'moov')
  const { bytes, cutOff } = known(boxes[index])
  need(!cutOff && bytes <= mostIndexBytes)
  const at = boxes.slice(0, index).reduce((sum, box) => sum + box.bytes, 0)
  const file = await open(path, 'r')
  try {
    const moov = Buffer.alloc(bytes)
    const { bytesRead } = await file.read(moov, 0, bytes, at)
    need(bytesRead === bytes)
    return moov
  } finally {
    await file.close()
  }
}

interface VideoTimes {
  ticksPerSecond: number
  /** Of the frames in the order of their decoding, as runs: how many times, which number. */
  durations: Buffer
  /** From its decoding until a frame is shown, where that isn't at once. */
  offsets: Buffer | undefined
}

function videoTimes(moov: Buffer): VideoTimes {
  for (const trak of children(moov.subarray(8)).filter(({ type }) => type === 'trak')) {
    const media = children(known(bodyOf(children(trak.body), 'mdia')))
    const [mdhd, hdlr, minf] = ['mdhd', 'hdlr', 'minf'].map((type) => known(bodyOf(media, type)))
    if (known(hdlr).toString('latin1', 8, 12) !== 'vide') continue
    const times = known(mdhd)
    need(times.length >= 24)
    // Version 1 has times of 64 bits before it.
    const ticksPerSecond = times.readUInt32BE(times[0] === 1 ? 20 : 12)
    need(ticksPerSecond > 0)
    const tables = children(known(bodyOf(children(known(minf)), 'stbl')))
    const [durations, offsets] = ['stts', 'ctts'].map((type) => bodyOf(tables, type))
    return { ticksPerSecond, durations: known(durations), offsets }
  }
  throw new UnfamiliarMp4()
}

/** The runs of a table; behind its version and their count. */
function runsOf(table: Buffer): { times: number; number: number }[] {
  need(table.length >= 8 && table.length % 8 === 0)
  return Array.from({ length: table.length / 8 - 1 }, (_, index) => {
    const at = 8 + index * 8
    return { times: table.readUInt32BE(at), number: table.readInt32BE(at + 4) }
  })
}

function expand(table: Buffer): number[] {
  const numbers: number[] = []
  for (const { times, number } of runsOf(table)) {
    need(numbers.length + times <= mostFrames)
    for (let n = 0; n < times; n += 1) numbers.push(number)
  }
  return numbers
}

/** When each frame is shown, in seconds from the first, in that order; and when the last one ends. */
function shownAt(steps: number[], offsets: number[], ticksPerSecond: number): number[] {
  let decodedAt = 0
  const times = steps.map((seconds, index) => {
    decodedAt += seconds
    return decodedAt - seconds + (offsets[index] ?? 0) / ticksPerSecond
  })
  times.sort((a, b) => a - b)
  times.push(Math.max(decodedAt, times.at(-1) ?? 0))
  return times.map((time) => time - (times[0] ?? 0))
}

function pausesOf(times: number[]): Pause[] {
  const steps = times.slice(1).map((time, index) => time - (times[index] ?? 0))
  return steps.flatMap((seconds, index) => {
    if (!isPause(seconds, 0)) return []
    const usual = usualAround(steps, index)
    const atSeconds = (times[index] ?? 0) + usual
    return isPause(seconds, usual) ? [{ atSeconds, seconds: seconds - usual }] : []
  })
}

/** The median of the steps before one, or behind it: at night a camera may go on slower for hours. */
function usualAround(steps: number[], index: number): number {
  const before = steps.slice(Math.max(0, index - neighbours), index)
  const behind = steps.slice(index + 1, index + 1 + neighbours)
  if (before.length + behind.length === 0) return Infinity
  return Math.max(median(before), median(behind))
}

/** Of two in the middle the larger one; 0 of none. */
function median(numbers: number[]): number {
  const sorted = [...numbers].sort((a, b) => a - b)
  return sorted[Math.floor(sorted.length / 2)] ?? 0
}

function children(content: Buffer): BoxContent[] {
  return boxesIn(content, /^/)
}

function bodyOf(boxes: BoxContent[], wanted: string): Buffer | undefined {
  return boxes.find(({ type }) => type === wanted)?.body
}
