import { neuralLists } from "../../reproduce/experiments/neural-lists.ts";
import { shortForms } from "./short-forms.ts";

shortForms(neuralLists);
