import { need, UnfamiliarMp4 } from './boxes.ts'
import { BitReader } from './bits.ts'
import { readH264Format, readHevcFormat, type PictureFormat } from './picture-format.ts'

export type PictureCodec = 'h264' | 'hevc'

/** A parameter set: it is in force until another of its kind and number comes. */
export type ParameterSet = {
  id: number
  /** The whole NAL unit, without zeros at its end. */
  unit: Buffer
} & ({ kind: 'vps' } | { kind: 'sps'; format: PictureFormat } | { kind: 'pps'; spsId: number })

/** What a unit is to whoever looks for parameter sets. */
type Unit = ParameterSet | { kind: 'slice'; ppsId: number } | { kind: 'other' }

/** Larger ones are none. */
export const mostSetBytes = 4096
/** Bytes of a slice that are more than enough to find its picture parameter set. */
export const sliceHeadBytes = 32
const headerBytes = { h264: 1, hevc: 2 }
/** The highest numbers of sets. */
const highest = { h264: { vps: 0, sps: 31, pps: 255 }, hevc: { vps: 15, sps: 15, pps: 63 } }

/** What a NAL unit is; of one that can't be read, or is of another layer, `other`. */
export function readUnit(codec: PictureCodec, unit: Buffer): Unit {
  try {
    const read = codec === 'h264' ? readH264Unit(unit) : readHevcUnit(unit)
    if (read.kind !== 'other' && read.kind !== 'slice') need(read.id <= highest[codec][read.kind])
    return read
  } catch (error) {
    if (error instanceof UnfamiliarMp4) return { kind: 'other' }
    throw error
  }
}

/** Whether two sets say the same; their headers tell of priorities only. */
export function isSameSet(codec: PictureCodec, a: ParameterSet, b: ParameterSet): boolean {
  const header = headerBytes[codec]
  return a.kind === b.kind && a.unit.subarray(header).equals(b.unit.subarray(header))
}

function readH264Unit(unit: Buffer): Unit {
  const type = (unit[0] ?? 0) & 31
  if (type >= 1 && type <= 5) {
    const slice = new BitReader(unit.subarray(headerBytes.h264, sliceHeadBytes))
    slice.ue()
    slice.ue()
    return { kind: 'slice', ppsId: slice.ue() }
  }
  if (type !== 7 && type !== 8) return { kind: 'other' }
  const bits = contentOf('h264', unit)
  if (type === 8) return readPps(bits, unit)
  const format = readH264Format(bits)
  return { kind: 'sps', id: format.id, format, unit: trimmed(unit) }
}

function readHevcUnit(unit: Buffer): Unit {
  need(unit.length > headerBytes.hevc)
  const header = unit.readUInt16BE(0)
  const type = (header >> 9) & 63
  const layer = (header >> 3) & 63
  if (layer !== 0) return { kind: 'other' }
  if (type < 32) {
    const slice = new BitReader(unit.subarray(headerBytes.hevc, sliceHeadBytes))
    slice.skip(type >= 16 && type <= 23 ? 2 : 1)
    return { kind: 'slice', ppsId: slice.ue() }
  }
  if (type > 34) return { kind: 'other' }
  const bits = contentOf('hevc', unit)
  if (type === 32) return { kind: 'vps', id: bits.bits(4), unit: trimmed(unit) }
  if (type === 34) return readPps(bits, unit)
  const format = readHevcFormat(bits)
  return { kind: 'sps', id: format.id, format, unit: trimmed(unit) }
}

function contentOf(codec: PictureCodec, unit: Buffer): BitReader {
  need(unit.length <= mostSetBytes)
  return new BitReader(unit.subarray(headerBytes[codec]))
}

function readPps(bits: BitReader, unit: Buffer): ParameterSet {
  return { kind: 'pps', id: bits.ue(), spsId: bits.ue(), unit: trimmed(unit) }
}

/** A copy, since what it was read from may be written to. */
function trimmed(unit: Buffer): Buffer {
  let end = unit.length
  while (end > 0 && unit[end - 1] === 0) end -= 1
  return Buffer.from(unit.subarray(0, end))
}
