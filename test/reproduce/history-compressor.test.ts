import { historyCompressor } from "../../reproduce/experiments/history-compressor.ts";
import { shortForms } from "./short-forms.ts";

shortForms(historyCompressor);
