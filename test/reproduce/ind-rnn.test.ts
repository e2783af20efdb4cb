import { indRNN } from "../../reproduce/experiments/ind-rnn.ts";
import { shortForms } from "./short-forms.ts";

shortForms(indRNN);
