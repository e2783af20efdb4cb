#!/usr/bin/env bash
# Makes speech.wav: four phrases by espeak-ng in noise by sox, quieter speech each time, and phrases.json, which says where they are.
# Debian: apt-get install espeak-ng sox
set -euo pipefail
cd "$(dirname "$0")"
work=$(mktemp -d)
trap 'rm -r "$work"' EXIT

RATE=16000
GAP=11200 # samples of noise alone before and after each phrase
NOISE=0.01 # its root mean square

rms() { sox "$1" -n stat 2>&1 | awk '/^RMS.*amplitude/ { print $3 }'; }

# NUMBER VOICE SPEED NOISE DECIBELS TEXT: a phrase so many decibels above its noise.
at=0
phrase() {
  local k=$1 snr=$5
  espeak-ng -v "$2" -s "$3" -w "$work/raw.wav" "$6"
  sox "$work/raw.wav" -r $RATE -c 1 -b 32 -e floating-point "$work/voice.wav" silence 1 0.02 0.5% reverse silence 1 0.02 0.5% reverse
  local length; length=$(soxi -s "$work/voice.wav")
  local gain; gain=$(awk -v r="$(rms "$work/voice.wav")" -v n=$NOISE -v s="$snr" 'BEGIN { print n * 10 ^ (s / 20) / r }')
  sox -R -r $RATE -n -c 1 -b 32 -e floating-point "$work/noise.wav" synth $((length + 2 * GAP))s "$4"noise
  local level; level=$(awk -v r="$(rms "$work/noise.wav")" -v n=$NOISE 'BEGIN { print n / r }')
  sox "$work/voice.wav" "$work/placed.wav" vol "$gain" pad ${GAP}s ${GAP}s
  sox -m -v "$level" "$work/noise.wav" -v 1 "$work/placed.wav" "$work/part$k.wav"
  echo "  { \"start\": $((at + GAP)), \"end\": $((at + GAP + length)), \"noise\": \"$4\", \"decibels\": $snr }" >>"$work/phrases"
  at=$((at + length + 2 * GAP))
}

phrase 1 en-us 165 pink 20 "Recurrent networks listen."
phrase 2 en-gb 170 brown 10 "Is anybody there tonight?"
phrase 3 de 165 white 10 "Guten Morgen, liebe Leute."
phrase 4 en-us+f3 165 pink 5 "The quick brown fox jumps."

sox -D "$work"/part?.wav -b 16 -e signed-integer speech.wav
{ echo "["; sed '$!s/$/,/' "$work/phrases"; echo "]"; } >phrases.json
