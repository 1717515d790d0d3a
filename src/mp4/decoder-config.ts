import { need } from './boxes.ts'

/** An `avcC` whose parameter sets fill it, all but the four bytes that follow in some profiles. */
export function needH264(avcC: Buffer): void {
  need(avcC.length > 6 && avcC.readUInt8(0) === 1 && hasLongLengths(avcC.readUInt8(4)))
  const behindSps = skipUnits(avcC, 6, avcC.readUInt8(5) & 31)
  need(behindSps < avcC.length)
  const end = skipUnits(avcC, behindSps + 1, avcC.readUInt8(behindSps))
  need(end === avcC.length || end + 4 === avcC.length)
}

/** An `hvcC` whose parameter sets fill it. */
export function needHevc(hvcC: Buffer): void {
  need(hvcC.length > 23 && hvcC.readUInt8(0) === 1 && hasLongLengths(hvcC.readUInt8(21)))
  let at = 23
  for (let list = hvcC.readUInt8(22); list > 0; list -= 1) {
    need(at + 3 <= hvcC.length)
    at = skipUnits(hvcC, at + 3, hvcC.readUInt16BE(at + 1))
  }
  need(at === hvcC.length)
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

/** Where the units that begin at a place end: at least one, each behind its length. */
function skipUnits(config: Buffer, from: number, count: number): number {
  need(count > 0)
  let at = from
  for (let unit = 0; unit < count; unit += 1) {
    need(at + 2 <= config.length)
    at += 2 + config.readUInt16BE(at)
    need(at <= config.length)
  }
  return at
}

/** Where the content of a descriptor begins. */
function descriptor(esds: Buffer, at: number, tag: number): number {
  need(at + 5 <= esds.length && esds.readUInt8(at) === tag)
  need(esds.readUIntBE(at + 1, 3) === 0x808080)
  const bytes = esds.readUInt8(at + 4)
  need(bytes >= 2 && at + 5 + bytes <= esds.length)
  return at + 5
}
