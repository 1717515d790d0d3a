import type { Track } from './tracks.ts'

/** The session description (RFC 4566) that DESCRIBE answers with. */
export function sessionDescription(tracks: Track[]): string {
  return [
    'v=0',
    'o=- 1 1 IN IP4 127.0.0.1',
    's=Emulated camera',
    'c=IN IP4 0.0.0.0',
    't=0 0',
    'a=control:*',
    'a=range:npt=0-',
    ...tracks.flatMap(mediaDescription),
    '',
  ].join('\r\n')
}

function mediaDescription(track: Track, index: number): string[] {
  return [
    `m=${track.media} 0 RTP/AVP ${track.payloadType}`,
    `a=rtpmap:${track.payloadType} ${track.rtpmap}`,
    ...(track.fmtp ? [`a=fmtp:${track.payloadType} ${track.fmtp}`] : []),
    'a=recvonly',
    `a=control:trackID=${index}`,
  ]
}
