import { bidirectional } from "../../reproduce/experiments/bidirectional.ts";
import { shortForms } from "./short-forms.ts";

shortForms(bidirectional);
