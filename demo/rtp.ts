// Leaves room for the RTP, UDP and IP headers in an Ethernet frame.
const MAX_PAYLOAD_BYTES = 1400

/** RFC 6184: a NAL goes whole if it fits (5.6), otherwise in FU-A fragments (5.8). */
export function h264Payloads(nal: Buffer): Buffer[] {
  if (nal.length <= MAX_PAYLOAD_BYTES) return [nal]
  const importance = nal[0]! & 0xe0
  const type = nal[0]! & 0x1f
  const FU_A = 28
  return fragments(nal.subarray(1), [importance | FU_A], type)
}

/** RFC 7798: a NAL goes whole if it fits (4.4.1), otherwise in fragmentation units (4.4.3). */
export function hevcPayloads(nal: Buffer): Buffer[] {
  if (nal.length <= MAX_PAYLOAD_BYTES) return [nal]
  const type = (nal[0]! >> 1) & 0x3f
  const FU = 49
  return fragments(nal.subarray(2), [(nal[0]! & 0x81) | (FU << 1), nal[1]!], type)
}

function fragments(body: Buffer, header: number[], type: number): Buffer[] {
  const room = MAX_PAYLOAD_BYTES - header.length - 1
  return Array.from({ length: Math.ceil(body.length / room) }, (_, index) => {
    const part = body.subarray(index * room, (index + 1) * room)
    const isFirst = index === 0 ? 0x80 : 0
    const isLast = (index + 1) * room >= body.length ? 0x40 : 0
    return Buffer.concat([Buffer.from([...header, isFirst | isLast | type]), part])
  })
}

/** RFC 3640, AAC-hbr (3.3.6): one AU-header of 13 bits of size and 3 bits of index, then the frame. */
export function aacPayload(frame: Buffer): Buffer {
  const header = Buffer.alloc(4)
  header.writeUInt16BE(16, 0)
  header.writeUInt16BE(frame.length << 3, 2)
  return Buffer.concat([header, frame])
}

/** Cuts a text or other opaque data into payloads. */
export function plainPayloads(data: Buffer): Buffer[] {
  return Array.from({ length: Math.ceil(data.length / MAX_PAYLOAD_BYTES) }, (_, index) =>
    data.subarray(index * MAX_PAYLOAD_BYTES, (index + 1) * MAX_PAYLOAD_BYTES),
  )
}

export interface RtpHeader {
  payloadType: number
  marker: boolean
  sequence: number
  timestamp: number
  ssrc: number
}

/** RFC 3550, 5.1. */
export function rtpPacket(header: RtpHeader, payload: Buffer): Buffer {
  const packet = Buffer.allocUnsafe(12 + payload.length)
  packet[0] = 0x80
  packet[1] = (header.marker ? 0x80 : 0) | header.payloadType
  packet.writeUInt16BE(header.sequence & 0xffff, 2)
  packet.writeUInt32BE(header.timestamp, 4)
  packet.writeUInt32BE(header.ssrc, 8)
  payload.copy(packet, 12)
  return packet
}

export interface SenderReport {
  ssrc: number
  /** Unix time in milliseconds … */
  unixMs: number
  /** … and the RTP timestamp of the same instant. */
  timestamp: number
  packets: number
  octets: number
}

const SECONDS_FROM_1900_TO_1970 = 2_208_988_800
const CNAME = 'camera'

/** RFC 3550: a compound packet of a sender report (6.4.1) and a source description (6.5). */
export function senderReport(report: SenderReport): Buffer {
  const packet = Buffer.alloc(28 + 20)
  packet.writeUInt32BE(0x80_c8_00_06, 0)
  packet.writeUInt32BE(report.ssrc, 4)
  const seconds = Math.floor(report.unixMs / 1000)
  packet.writeUInt32BE(seconds + SECONDS_FROM_1900_TO_1970, 8)
  packet.writeUInt32BE(Math.floor((report.unixMs / 1000 - seconds) * 2 ** 32), 12)
  packet.writeUInt32BE(report.timestamp, 16)
  packet.writeUInt32BE(report.packets >>> 0, 20)
  packet.writeUInt32BE(report.octets >>> 0, 24)
  packet.writeUInt32BE(0x81_ca_00_04, 28)
  packet.writeUInt32BE(report.ssrc, 32)
  packet[36] = 1
  packet[37] = CNAME.length
  packet.write(CNAME, 38, 'ascii')
  return packet
}

/** RFC 2326, 10.12: a packet inside the RTSP connection. */
export function interleaved(channel: number, packet: Buffer): Buffer {
  const header = Buffer.from([0x24, channel, packet.length >> 8, packet.length & 0xff])
  return Buffer.concat([header, packet])
}
