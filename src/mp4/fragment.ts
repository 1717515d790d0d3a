import { boxesIn, known, need, type BoxContent } from './boxes.ts'

/** The samples of one track in a fragment; times and durations in the track's ticks. */
export interface TrackRun {
  /** The number of the track. */
  track: number
  /** When its first sample is to be decoded. */
  time: number
  durations: number[]
  sizes: number[]
  /** From a sample's decoding to its presentation. */
  offsets: number[]
  /** Whether a sample can be decoded alone. */
  syncs: boolean[]
}

/** Sample flags for keyframes and for dependent frames, as FFmpeg writes them. */
const [sync, dependent] = [0x0200_0000, 0x0101_0000]
/** Base is the fragment itself; defaults for duration, size and flags. */
const tfhdFlags = 0x02_0038
/** Which fields a `trun` has: for the run, and then for each sample. */
const has = { place: 0x1, first: 0x4, duration: 0x100, size: 0x200, flags: 0x400, offset: 0x800 }
const allFields = Object.values(has).reduce((all, field) => all | field)
const headerBytes = 8
/** More than any fragment of ours holds. */
const mostSamples = 100_000

/**
 * Reads a `moof`, whose samples have to fill the `mdat` behind it from the first byte on, track by
 * track. Throws UnfamiliarMp4 where it isn't as FFmpeg writes it.
 */
export function readFragment(moof: Buffer): TrackRun[] {
  const [mfhd, ...trafs] = boxesIn(moof.subarray(headerBytes), /^mfhd( traf){1,2}$/)
  need(known(mfhd).body.length === 8 && known(mfhd).body.readUInt32BE(0) === 0)
  let place = moof.length + headerBytes
  return trafs.map((traf) => {
    const run = readTrack(traf, place)
    place += run.sizes.reduce((sum, bytes) => sum + bytes, 0)
    return run
  })
}

function readTrack(traf: BoxContent, place: number): TrackRun {
  const [tfhd, tfdt, ...truns] = boxesIn(traf.body, /^tfhd tfdt( trun)+$/)
  const { id: track, ...defaults } = readDefaults(known(tfhd).body)
  const time = readTime(known(tfdt).body)
  const run: TrackRun = { track, time, durations: [], sizes: [], offsets: [], syncs: [] }
  let at = place
  for (const { body } of truns) at += readRun(run, body, at, defaults)
  return run
}

interface Defaults {
  duration: number
  bytes: number
  flags: number
}

function readDefaults(tfhd: Buffer): Defaults & { id: number } {
  need(tfhd.length === 20 && tfhd.readUInt32BE(0) === tfhdFlags)
  const [id, duration] = [tfhd.readUInt32BE(4), tfhd.readUInt32BE(8)]
  return { id, duration, bytes: tfhd.readUInt32BE(12), flags: tfhd.readUInt32BE(16) }
}

/** When a fragment of a track begins, in ticks: of 64 bits, of which a number holds 53. */
function readTime(tfdt: Buffer): number {
  need(tfdt.length === 12 && tfdt.readUInt32BE(0) === 0x0100_0000 && tfdt.readUInt32BE(4) < 2 ** 20)
  return tfdt.readUInt32BE(4) * 2 ** 32 + tfdt.readUInt32BE(8)
}

/** Adds the samples of a `trun`, whose content has to begin at `place`; returns their bytes. */
function readRun(run: TrackRun, body: Buffer, place: number, defaults: Defaults): number {
  need(body.length >= 12)
  const [fields, count] = [body.readUInt32BE(0), body.readUInt32BE(4)]
  const hasField = (field: number): boolean => (fields & field) !== 0
  // A version other than 0 would be among the unknown fields.
  need(hasField(has.place) && (fields & ~allFields) === 0 && count <= mostSamples)
  need(!(hasField(has.first) && hasField(has.flags)))
  need(body.readUInt32BE(8) === place)
  const each = [has.duration, has.size, has.flags, has.offset].filter(hasField)
  need(body.length === 12 + (hasField(has.first) ? 4 : 0) + count * each.length * 4)
  let at = 12
  const next = (): number => {
    at += 4
    return body.readUInt32BE(at - 4)
  }
  const first = hasField(has.first) ? next() : undefined
  let total = 0
  for (let n = 0; n < count; n += 1) {
    const duration = hasField(has.duration) ? next() : defaults.duration
    const bytes = hasField(has.size) ? next() : defaults.bytes
    const usual = hasField(has.flags) ? next() : defaults.flags
    const flags = n === 0 && first !== undefined ? first : usual
    need(bytes > 0 && (flags === sync || flags === dependent))
    run.durations.push(duration)
    run.sizes.push(bytes)
    run.offsets.push(hasField(has.offset) ? next() : 0)
    run.syncs.push(flags === sync)
    total += bytes
  }
  return total
}
