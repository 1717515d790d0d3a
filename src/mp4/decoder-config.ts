import { withoutEscapes } from './bits.ts'
import { known, need } from './boxes.ts'
import type { ParameterSet, PictureCodec } from './parameter-sets.ts'
import { highProfiles, type PictureFormat } from './picture-format.ts'

/** The parameter sets of an `avcC` that they fill, all but the four bytes that follow in some profiles. */
export function readH264Config(avcC: Buffer): Buffer[] {
  need(avcC.length > 6 && avcC.readUInt8(0) === 1 && hasLongLengths(avcC.readUInt8(4)))
  const sps = readUnits(avcC, 6, avcC.readUInt8(5) & 31)
  need(sps.end < avcC.length)
  const pps = readUnits(avcC, sps.end + 1, avcC.readUInt8(sps.end))
  need(pps.end === avcC.length || pps.end + 4 === avcC.length)
  return [...sps.units, ...pps.units]
}

/** The parameter sets, and what else is in their lists, of an `hvcC` that they fill. */
export function readHevcConfig(hvcC: Buffer): Buffer[] {
  need(hvcC.length > 23 && hvcC.readUInt8(0) === 1 && hasLongLengths(hvcC.readUInt8(21)))
  const all: Buffer[] = []
  let at = 23
  for (let list = hvcC.readUInt8(22); list > 0; list -= 1) {
    need(at + 3 <= hvcC.length)
    const { units, end } = readUnits(hvcC, at + 3, hvcC.readUInt16BE(at + 1))
    all.push(...units)
    at = end
  }
  need(at === hvcC.length)
  return all
}

/** Marks each list of an `hvcC` as complete, which `hvc1` promises. */
export function declareComplete(hvcC: Buffer): void {
  let at = 23
  for (let list = hvcC.readUInt8(22); list > 0; list -= 1) {
    hvcC.writeUInt8(hvcC.readUInt8(at) | 0x80, at)
    at = readUnits(hvcC, at + 3, hvcC.readUInt16BE(at + 1)).end
  }
}

/** Says which config a picture of these parameter sets has; the first sequence parameter set is the one in use. */
export function makeConfig(codec: PictureCodec, sets: ParameterSet[]): Buffer {
  const [first] = sets.flatMap((set) => (set.kind === 'sps' ? [set] : []))
  const { unit, format } = known(first)
  return codec === 'h264' ? makeAvcC(unit, format, sets) : makeHvcC(unit, format, sets)
}

/** ISO/IEC 14496-15, 5.3.3.1. */
function makeAvcC(sps: Buffer, format: PictureFormat, sets: ParameterSet[]): Buffer {
  const [spss, ppss] = [unitsOf(sets, 'sps').slice(0, 31), unitsOf(sets, 'pps').slice(0, 255)]
  const { chromaFormat, lumaBits, chromaBits } = format
  const depths = [0xfc | chromaFormat, 0xf8 | (lumaBits - 8), 0xf8 | (chromaBits - 8), 0]
  return Buffer.concat([
    Buffer.from([1, ...sps.subarray(1, 4), 0xff, 0xe0 | spss.length]),
    ...spss.map(withLength),
    Buffer.from([ppss.length]),
    ...ppss.map(withLength),
    Buffer.from(highProfiles.has(sps.readUInt8(1)) ? depths : []),
  ])
}

/** ISO/IEC 14496-15, 8.3.3.1: of what isn't known, such as the frame rate, it says nothing. */
function makeHvcC(sps: Buffer, format: PictureFormat, sets: ParameterSet[]): Buffer {
  const { chromaFormat, lumaBits, chromaBits } = format
  const [layers = 0, ...profile] = withoutEscapes(sps.subarray(2)).subarray(0, 13)
  const [count, isNested] = [((layers >> 1) & 7) + 1, layers & 1]
  const depths = [0xfc | chromaFormat, 0xf8 | (lumaBits - 8), 0xf8 | (chromaBits - 8)]
  const lists = (
    [
      [32, 'vps'],
      [33, 'sps'],
      [34, 'pps'],
    ] as const
  ).flatMap(([type, kind]) => {
    const units = unitsOf(sets, kind)
    return units.length === 0
      ? []
      : [Buffer.concat([Buffer.from([0x80 | type, 0, units.length]), ...units.map(withLength)])]
  })
  return Buffer.concat([
    Buffer.from([1, ...profile, 0xf0, 0, 0xfc, ...depths, 0, 0]),
    Buffer.from([(count << 3) | (isNested << 2) | 3, lists.length]),
    ...lists,
  ])
}

function unitsOf(sets: ParameterSet[], kind: ParameterSet['kind']): Buffer[] {
  return sets.flatMap((set) => (set.kind === kind ? [set.unit] : []))
}

function withLength(unit: Buffer): Buffer {
  return Buffer.concat([Buffer.from([unit.length >> 8, unit.length & 255]), unit])
}

/** An `esds` as FFmpeg writes it, with lengths of four bytes, of AAC-LC. */
export function needAac(esds: Buffer): void {
  const es = descriptor(esds, 4, 3)
  // Behind an id and flags; behind the kind of the stream and its bit rates.
  const decoder = descriptor(esds, es + 3, 4)
  const config = descriptor(esds, decoder + 13, 5)
  need(esds.readUInt8(es + 2) === 0)
  const [aac, lowComplexity] = [0x40, 2]
  const bits = esds.readUInt16BE(config)
  const [objectType, rate, channels] = [bits >> 11, (bits >> 7) & 15, (bits >> 3) & 15]
  const isLc = objectType === lowComplexity && rate < 13 && channels >= 1 && channels <= 7
  need(esds.readUInt8(decoder) === aac && isLc)
}

/** Whether each unit in a sample follows its length of four bytes, which is the only common way. */
function hasLongLengths(byte: number): boolean {
  return (byte & 3) === 3
}

/** The units that begin at a place, at least one, each behind its length; and where they end. */
function readUnits(config: Buffer, from: number, count: number): { units: Buffer[]; end: number } {
  need(count > 0)
  const units: Buffer[] = []
  let at = from
  for (let unit = 0; unit < count; unit += 1) {
    need(at + 2 <= config.length)
    const end = at + 2 + config.readUInt16BE(at)
    need(end <= config.length)
    units.push(config.subarray(at + 2, end))
    at = end
  }
  return { units, end: at }
}

/** Where the content of a descriptor begins. */
function descriptor(esds: Buffer, at: number, tag: number): number {
  need(at + 5 <= esds.length && esds.readUInt8(at) === tag)
  need(esds.readUIntBE(at + 1, 3) === 0x808080)
  const bytes = esds.readUInt8(at + 4)
  need(bytes >= 2 && at + 5 + bytes <= esds.length)
  return at + 5
}
